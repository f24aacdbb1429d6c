# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest over two hosts whose memory comes in large pages: large.py [kernel].

    scripts/testbed script selftests/testbed/large.py 6.1

At the origin the kernel maps 2 MiB by one entry, and KVM too; what the other host touches is
split, and both see right memory. What single accesses do: selftests/dsm/run 6.1 2 large.
"""

import sys

from testbed import Testbed
from testbed.cluster import Cluster
from testbed.tap import Tap

KVM_HAS_2M = ("mount -t debugfs none /sys/kernel/debug 2>/dev/null; "
              "timeout 60 sh -c 'until [ $(cat /sys/kernel/debug/kvm/pages_2m) -gt 0 ]; do sleep 0.2; done'; "
              "cat /sys/kernel/debug/kvm/pages_2m")
MAPPED = "awk '/^FilePmdMapped/ { sum += $2 } END { print sum }' /proc/$(pgrep -x qemu-system-x86)/smaps"


def stats(cluster, host):
    return {row["counter"]: row["value"] for row in cluster.dvmm(host, "stat guest") if row["counter"].startswith("large")}


def main(kernel="6.1"):
    tap = Tap()
    with Testbed(hosts=2, kernel=kernel) as bed:
        cluster, origin = Cluster(bed), bed.hosts[0]
        cluster.up()
        for host in bed.hosts:
            host.run("echo Y >/sys/module/dvmm_dsm/parameters/large_pages")
        guest = cluster.start_guest(1, 1, test="memcheck:-t:1:-k:atomics+message-passing+ping-pong")
        with tap.case("kvm_maps_2_mib_of_the_guest_by_one_entry"):
            kvm = int(origin.run(KVM_HAS_2M, 90))
            print(f"# {kvm} entries of 2 MiB in KVM, {origin.run(MAPPED).strip()} KiB in QEMU, {stats(cluster, origin)}", flush=True)
            assert kvm > 0
        with tap.case("guest_with_large_pages_spans_two_hosts"):
            guest.wait(r"DVMM-GUEST: up 2 vCPUs")
            print(f"# up: {origin.run(MAPPED).strip()} KiB in QEMU, {stats(cluster, origin)}", flush=True)
            found = stats(cluster, origin)
            assert found["large_pages"] > found["large_pages_split"] > 0, found
            guest.finish("memcheck")
        for host in bed.hosts:
            cluster.wait_vm_gone(host)
        with tap.case("hosts_are_clean_afterwards"):
            cluster.down()
    tap.end()


main(*sys.argv[1:])
