# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes, hosts and links that die under a running guest: the VM goes on or stops with a clear
event, and no host oopses, hangs or keeps a page.

    scripts/testbed script selftests/testbed/faults.py KERNEL [CASE...]

Each case asserts that the guest works before the fault, which also shows that the fault before it
left nothing behind; it is driven by what the guest and the nodes say. The guest runs its memory checker without end.
"""

import sys
import time

from testbed import Testbed
from testbed.cluster import DVMM, Cluster
from testbed.tap import Tap

# Longer than any case: the fault always meets a guest that works.
LOAD = {"test": "memcheck:-t:900:-n:100000000:-k:ping-pong", "append": "dvmm.limit=900"}


def loaded_guest(cluster, name, **options):
    guest = cluster.start_guest(1, 1, name=name, **{**LOAD, **options})
    guest.wait("DVMM-GUEST: up 2 vCPUs", timeout=600)
    guest.wait(r"memcheck: \d+ vCPUs", timeout=600)
    return guest


def wait_crossing(cluster, vm=None):
    """Both hosts work on the memory of the VM, or of the only one."""
    cluster.wait_crossing(vm or cluster.dvmm(cluster.bed.hosts[0], "vm list")[0]["vm"])


def all_gone(cluster, hosts):
    for host in hosts:
        cluster.wait_vm_gone(host)
        assert not host.splats(), "\n".join(host.splats())


def a_guest_starts(cluster):
    cluster.start_guest(1, 1, name="after", test="memcheck:-t:1:-k:atomics+ping-pong").finish("memcheck")


def vmm_killed(cluster):
    guest = loaded_guest(cluster, "vmm-killed")
    wait_crossing(cluster)
    guest.host.run("pkill -KILL -x qemu-system-x86")
    guest.job.wait(60)
    all_gone(cluster, cluster.bed.hosts)


def one_of_two_vms_killed(cluster):
    """On the same hosts: the other one works before and after, to the good end of its checker."""
    dies = loaded_guest(cluster, "dies", options="-pidfile /tmp/dies.pid")
    stays = loaded_guest(cluster, "stays", test="memcheck:-t:3:-n:100000000")
    for vm in ("dies", "stays"):
        wait_crossing(cluster, vm)
    dies.host.run("kill -KILL $(cat /tmp/dies.pid)")
    assert dies.job.wait(60) != 0, "dvmm run says that all went well"
    assert "memcheck ok" not in stays.output, "its checker was over before the other VM died"
    wait_crossing(cluster, "stays")
    for host in cluster.bed.hosts:
        host.run(f"timeout 60 sh -c 'until [ \"$({DVMM} -o csv -H vm list | cut -d, -f1)\" = stays ]; do sleep 0.2; done'", 80)
    stays.finish("memcheck")
    all_gone(cluster, cluster.bed.hosts)


def slice_killed(cluster):
    guest = loaded_guest(cluster, "slice-killed")
    wait_crossing(cluster)
    cluster.bed.hosts[1].run("pkill -KILL -x dvmm-slice")
    cluster.wait_event(guest.host, r"vm-dead.*")
    assert guest.job.wait(60) != 0, "dvmm run says that all went well"
    all_gone(cluster, cluster.bed.hosts)


def link_cut_for_2_seconds(cluster):
    guest = loaded_guest(cluster, "cut-short")
    wait_crossing(cluster)
    cluster.bed.hosts[0].cut_link(cluster.bed.hosts[1])
    time.sleep(2)  # the fault itself
    cluster.bed.hosts[0].cut_link(cluster.bed.hosts[1], on=False)
    wait_crossing(cluster)
    assert "FAIL" not in guest.output, guest.output[-2000:]
    assert "vm-dead" not in cluster.events(guest.host).splitlines()[-1]
    guest.host.run("pkill -TERM -x qemu-system-x86")
    guest.job.wait(60)
    all_gone(cluster, cluster.bed.hosts)


def unload_while_in_use(cluster):
    guest = loaded_guest(cluster, "unload")
    for host in cluster.bed.hosts:
        for module in ("dvmm_vcpu", "dvmm_dsm", "dvmm"):
            job = host.start(f"rmmod {module}")
            assert job.wait(30) != 0, f"{module} was unloaded from {host} under a running guest"
    wait_crossing(cluster)
    guest.host.run("pkill -TERM -x qemu-system-x86")
    guest.job.wait(60)
    all_gone(cluster, cluster.bed.hosts)


def link_cut_for_good(cluster):
    hosts = cluster.bed.hosts
    guest = loaded_guest(cluster, "cut-for-good")
    wait_crossing(cluster)
    hosts[0].cut_link(hosts[1])
    for host in hosts:
        cluster.wait_event(host, r"link-lost.*", timeout=90)
        cluster.wait_event(host, r"vm-dead.*cut-for-good|vm-dead.*")
    assert guest.job.wait(60) != 0
    all_gone(cluster, hosts)
    hosts[0].cut_link(hosts[1], on=False)
    cluster.wait_links(90)
    a_guest_starts(cluster)


def wrong_key(cluster):
    """Refused with a reason on both sides; with the right key the link comes up."""
    hosts = cluster.bed.hosts
    hosts[1].run("sh selftests/testbed/node-up down", 60)
    cluster.node_up(hosts[1], 2, "DVMM_KEY=" + "f" * 64).check(90)
    for host in hosts:
        cluster.wait_event(host, r"link-refused.*key", timeout=60)
    assert hosts[0].start(f"{DVMM} run --place 0=n1,1=n2 --timeout 3 -- true").wait(30) != 0
    hosts[1].run("sh selftests/testbed/node-up down", 60)
    cluster.node_up(hosts[1], 2).check(90)
    cluster.wait_links(90)


def host_dies(cluster):
    hosts = cluster.bed.hosts
    guest = loaded_guest(cluster, "host-dies")
    wait_crossing(cluster)
    hosts[1].kill()
    cluster.wait_event(hosts[0], r"link-lost.*", timeout=90)
    cluster.wait_event(hosts[0], r"vm-dead.*")
    assert guest.job.wait(60) != 0
    all_gone(cluster, hosts[:1])


# host_dies comes last: its host does not come back.
CASES = [vmm_killed, one_of_two_vms_killed, slice_killed, link_cut_for_2_seconds, unload_while_in_use, wrong_key, link_cut_for_good, host_dies]


def main(kernel, *names):
    tap = Tap()
    with Testbed(hosts=2, kernel=kernel) as bed:
        cluster = Cluster(bed)
        cluster.up()
        for case in CASES:
            if not names or case.__name__ in names:
                with tap.case(f"{case.__name__} ({kernel})"):
                    case(cluster)
        with tap.case(f"survivors_unload_cleanly ({kernel})"):
            for host in bed.hosts:
                if host.is_alive():
                    host.start("pkill -TERM -x qemu-system-x86").wait(20)
            cluster.down()
    tap.end()


main(*sys.argv[1:])
