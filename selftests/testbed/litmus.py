# SPDX-License-Identifier: GPL-2.0-or-later
"""What the programs of selftests/guest find in a guest over several hosts; their counts are shown.

    scripts/testbed script selftests/testbed/litmus.py KERNEL MACHINE COUNTS [PROGRAM[:OPTION...]...] [-v]

COUNTS: vCPUs on each host, 2+2. Programs as on the guest's command line, all of them by default.
-v shows the guest's console.
"""

import re
import sys

from testbed import Testbed, guest
from testbed.cluster import Cluster
from testbed.tap import Tap

TESTS = ["code:-t:0.5", "mappings:-t:0.5", "forks:-t:0.5", "atomics:-t:1", "netio:-t:0.5:-f:10.88.0.1", "diskio:-t:0.5",
         "memcheck:-t:0.5", "litmus:-t:4"]
# A ramdisk that QEMU opens with O_DIRECT: what the guest reads and writes is pinned on the host.
DISK = "/dev/ram0"
TAP = "tap0"


def show_counts(console, names):
    for line in console.splitlines():
        if re.match(rf"({'|'.join(names)}): ", line):
            print("#", line.rstrip(), flush=True)


def offer_devices(host):
    """The ramdisk, and a network whose other end keeps what netio sends."""
    host.run("modprobe -a tun vhost_net && modprobe brd rd_nr=1 rd_size=16384")
    host.run(f"ip tuntap add {TAP} mode tap && ip addr add 10.88.0.1/24 dev {TAP} && ip link set {TAP} up")
    host.start("exec build/guest/netio -k serve").wait_line("serving")


def finds_nothing(cluster, machine, counts, tests):
    names = [test.split(":")[0] for test in tests]
    spanning = cluster.start_guest(*counts, machine=machine, test=",".join(tests), disk=DISK, tap=TAP, name="litmus",
                                   append="dvmm.limit=900", show="-v" in sys.argv)
    try:
        spanning.wait("DVMM-GUEST: up")
        print("# served by", cluster.bed.hosts[0].run("ps -eo comm | grep ^vhost-").split(), flush=True)
        spanning.finish(*names, timeout=2000)
    finally:
        show_counts(spanning.output, names)
    for host in cluster.bed.hosts:
        cluster.wait_vm_gone(host)
        assert not host.splats(), host.splats()


def main(kernel, machine, layout, *tests):
    tap = Tap()
    counts = [int(count) for count in layout.split("+")]
    guest.build(kernel)
    with Testbed(hosts=len(counts), kernel=kernel) as bed:
        cluster = Cluster(bed)
        with tap.case(f"{len(counts)}_nodes_of_{kernel}_link_up"):
            cluster.up()
            offer_devices(bed.hosts[0])
        with tap.case(f"{machine}_guest_on_{layout}_of_{kernel}_has_one_memory"):
            finds_nothing(cluster, machine, counts, [test for test in tests if test != "-v"] or TESTS)
        with tap.case("modules_unload_and_nothing_is_left"):
            cluster.down()
    tap.end()


main(*sys.argv[1:])
