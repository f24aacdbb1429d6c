# SPDX-License-Identifier: GPL-2.0-or-later
"""One guest over several hosts: it boots, its memory is one, its vCPUs reach each other.

    scripts/testbed script selftests/testbed/spanning.py KERNEL MACHINE COUNTS... [reboot] [numa] [-v]

COUNTS is 2+2, 3+1, 2+1+1: vCPUs on each host. reboot: the guest also has to come up twice.
numa: it has a NUMA cell on each host, and that memory its home there.
"""

import sys

from testbed import Testbed
from testbed.cluster import Cluster
from testbed.tap import Tap

TESTS = ("memcheck:-t:1:-k:atomics+ping-pong+message-passing+shootdown,litmus:-t:1:-k:SB-mfence+MP,"
         "diskio:-k:blocks,ipi:-t:1,cpuhot:-n:1")


def vcpus_are_where_they_belong(cluster, counts):
    for host in cluster.bed.hosts[:len(counts)]:
        here = [vcpu for vcpu in cluster.dvmm(host, "vcpu list") if vcpu["node"] == f"n{host.n}"]
        assert len(here) == counts[host.n - 1], here
        assert all(vcpu["exits"] > 0 for vcpu in here), f"a vCPU of {host} never left the guest: {here}"


def memory_is_where_it_belongs(cluster, guest, counts):
    guest.wait(rf"DVMM-GUEST: NUMA nodes 0-{len(counts) - 1}\b")
    for host in cluster.bed.hosts[:len(counts)]:
        here = sum(mem["homed_bytes"] for mem in cluster.dvmm(host, "mem list"))
        share = (256 << 20) * counts[host.n - 1] // sum(counts)
        # The origin also has the ROMs and what else the machine has.
        assert here >= share - (4 << 20) and (host.n == 1 or here <= share + (4 << 20)), (str(host), here, share)


def doorbells_are_answered(cluster, guest):
    """The vCPUs of other hosts have told the disk of their requests, by ioeventfd at the origin."""
    guest.wait("DVMM-GUEST: diskio ok", 600)
    rung = {row["counter"]: row["value"] for row in cluster.dvmm(guest.host, "stat guest")}["eventfd_remote"]
    assert rung > 0, "no doorbell of a remote vCPU was answered by an ioeventfd"


def span(cluster, machine, counts, home):
    guest = cluster.start_guest(*counts, machine=machine, test=TESTS, disk="/tmp/disk.img", home=home,
                                show="-v" in sys.argv)
    guest.wait(rf"DVMM-GUEST: up {sum(counts)} vCPUs")
    vcpus_are_where_they_belong(cluster, counts)
    if home == "numa":
        memory_is_where_it_belongs(cluster, guest, counts)
    doorbells_are_answered(cluster, guest)
    guest.finish("memcheck", "litmus", "diskio", "ipi", "cpuhot", timeout=1200)
    for host in cluster.bed.hosts:
        cluster.wait_vm_gone(host)
        assert not host.splats(), host.splats()


def reboot(cluster, machine, counts):
    """The guest resets the machine and comes up again, all vCPUs with it."""
    guest = cluster.start_guest(*counts, machine=machine, then="reboot", show="-v" in sys.argv)
    for _ in range(2):
        guest.wait(rf"DVMM-GUEST: up {sum(counts)} vCPUs", 600)
        guest.wait("DVMM-GUEST: cpus ok")
    guest.host.run("pkill -TERM -x qemu-system-x86")
    guest.job.wait(60)
    for host in cluster.bed.hosts:
        cluster.wait_vm_gone(host)
        assert not host.splats(), host.splats()


def main(kernel, machine, *words):
    tap = Tap()
    layouts = [word for word in words if word[0].isdigit()]
    hosts = max(len(layout.split("+")) for layout in layouts)
    with Testbed(hosts=hosts, kernel=kernel) as bed:
        cluster = Cluster(bed)
        with tap.case(f"{hosts}_nodes_of_{kernel}_link_up"):
            cluster.up()
        for number, layout in enumerate(layouts):
            counts = [int(count) for count in layout.split("+")]
            home = "numa" if "numa" in words else ("origin", "interleave")[number % 2]
            with tap.case(f"{machine}_guest_runs_on_{layout}_of_{kernel}_homes_{home}"):
                span(cluster, machine, counts, home)
        if "reboot" in words:
            with tap.case(f"{machine}_guest_reboots_on_{layouts[0]}_of_{kernel}"):
                reboot(cluster, machine, [int(count) for count in layouts[0].split("+")])
        with tap.case("modules_unload_and_nothing_is_left"):
            cluster.down()
    tap.end()


main(*sys.argv[1:])
