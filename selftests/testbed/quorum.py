# SPDX-License-Identifier: GPL-2.0-or-later
"""Three hosts with corosync, two guests, and a network that is cut 2 : 1: the guest of the minority is ended by
its agent, before its links are lost, and the one of the majority goes on.

    scripts/testbed script selftests/testbed/quorum.py [KERNEL]

The refusals, the times and what dies are tested without hosts: selftests/unit/quorum.
"""

import re
import sys
import time

from testbed import Testbed, guest
from testbed.cluster import BOOT_ALONE, DVMM, Cluster
from testbed.tap import Tap

# Emulated hosts are slow: corosync's token is a quarter of this. Quorum is lost after some two tokens.
LOST_AFTER_MS, FENCE_AFTER_MS = 30000, 3000
LOAD = {"test": "memcheck:-t:900:-n:100000000:-k:ping-pong", "append": "dvmm.limit=900"}


def until(what, condition, timeout=90):
    end = time.monotonic() + timeout
    while not (seen := condition()):
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.5)
    return seen


def info(cluster, host):
    return cluster.dvmm(host, "cluster info")


def all_in(cluster, hosts):
    """In one quorum, of so many nodes."""
    def is_so():
        seen = [info(cluster, host) for host in hosts]
        events = [cluster.events(host) for host in hosts]
        return len({row["epoch"] for row in seen}) == 1 and all(row["quorate"] for row in seen) and \
            all(re.search(rf"{len(hosts)} of 3 nodes:.*epoch {row['epoch']}", text) for row, text in zip(seen, events))
    until(f"{len(hosts)} nodes in quorum", is_so)


def form(cluster, hosts):
    first, *others = hosts
    cluster.form(lost_after_ms=LOST_AFTER_MS)
    first.run(f"{DVMM} cluster set fence-after-ms {FENCE_AFTER_MS}")
    others[-1].run(f"{DVMM} cluster set membership corosync")
    all_in(cluster, hosts)
    print("".join(f"# {line}\n" for line in first.run(f"{DVMM} cluster info; {DVMM} cluster list").splitlines()), end="")


def start_minor(host):
    """Its VMM runs on the host that will be alone, a vCPU of it on n1. It need not have booted."""
    command = guest.qemu(cpus=2, slow=guest.slowness(3), test=LOAD["test"], append=BOOT_ALONE)
    job = host.start(f"exec {DVMM} run --name minor --place 0=n{host.n},1=n1 -- {command}")
    host.run(f"timeout 60 sh -c 'until {DVMM} -o csv -H vm list | grep minor | grep -q running; do sleep 0.2; done'", 80)
    return job


def cut(hosts, alone, on=True):
    for host in hosts:
        if host is not alone:
            host.cut_link(alone, on=on)


def check_events(events):
    """It was fenced, and nothing else ended it: a VMM that is killed may leave a call to the other node undone."""
    fenced = re.search(r"vm-fenced.*minor: it is ended: no quorum for .* \(1 of 3 nodes: n3\)", events)
    assert fenced and not re.search(r"link-lost|vm-dead", events[:fenced.start()]), events


def minority_ends(cluster, hosts, alone, job):
    cut(hosts, alone)
    start = time.monotonic()
    status = job.wait(90)
    took = time.monotonic() - start
    print(f"# minor has ended {took:.1f} s after the cut, status {status}: {job.errors.strip()[-300:]}", flush=True)
    check_events(cluster.events(alone))
    assert status != 0 and "the VM is dead: it is ended: no quorum" in job.errors, job.errors
    assert took < LOST_AFTER_MS / 1000, took
    assert info(cluster, alone)["quorate"] is False
    refused = alone.start(f"{DVMM} run --place 0=n3,1=n1 -- true")
    assert refused.wait(60) != 0 and "node n3 has no quorum" in refused.errors, refused.errors


def main(kernel="6.1"):
    tap = Tap()
    with Testbed(hosts=3, kernel=kernel) as bed:
        cluster, hosts = Cluster(bed), bed.hosts
        first, _, alone = hosts
        with tap.case(f"three_nodes_of_{kernel}_come_to_quorum"):
            form(cluster, hosts)
        with tap.case("two_guests_run"):
            major = cluster.start_guest(1, 1, name="major", **LOAD)
            major.wait(r"memcheck: \d+ vCPUs", timeout=400)
            minor = start_minor(alone)
            cluster.wait_crossing("major", first, timeout=90)
        with tap.case("minority_ends_its_guest_before_its_links_are_lost"):
            minority_ends(cluster, hosts, alone, minor)
        with tap.case("majority_goes_on"):
            all_in(cluster, hosts[:2])
            cluster.wait_crossing("major", first, timeout=90)
            assert major.job.status is None and "FAIL" not in major.output, major.output[-2000:]
        with tap.case("healed_network_is_one_quorum"):
            cut(hosts, alone, on=False)
            all_in(cluster, hosts)
            cluster.wait_links(90)
            cluster.wait_crossing("major", first, timeout=90)
        with tap.case("third_node_leaves"):
            cluster.wait_vm_gone(alone)
            said = alone.run(f"{DVMM} node leave", 60)
            assert "lab" in said, said
            assert "n3" not in {row["node"] for row in cluster.dvmm(first, "cluster list")}
            until("corosync has ended on it", lambda: alone.start("pgrep -x corosync").wait(20) != 0)
        if tap.failed:
            for host in hosts:
                text = host.run(f"grep dvmm-agent: /out/agent.log | tail -n 30; {DVMM} event list | tail -20; true")
                print("".join(f"# host{host.n}: {line}\n" for line in text.splitlines()), end="", flush=True)
        with tap.case("modules_unload_and_nothing_is_left"):
            first.start("pkill -TERM -x qemu-system-x86").wait(20)
            for host in hosts[:2]:
                cluster.wait_vm_gone(host)
            cluster.down()
    tap.end()


main(*sys.argv[1:])
