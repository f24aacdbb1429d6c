# SPDX-License-Identifier: GPL-2.0-or-later
"""vCPUs go from host to host while the guest runs, under its memory and interrupt checkers.

    scripts/testbed script selftests/testbed/move.py KERNEL [HOSTS] [MOVES] [drain] [-v]

A guest with vCPUs 0 and 1 on the first host and 2 on the second. vCPUs 2 and 1 move in turn, to the
next host each time: to the origin and away from it, and with 3 hosts between two others, of which
the third lends memory only at first. drain: then both are on the second host, which is drained, also
under load, and leaves the cluster while the guest goes on.
"""

import json
import re
import statistics
import sys

from testbed import Testbed
from testbed.cluster import DVMM, Cluster
from testbed.figures import figure
from testbed.tap import Tap

# Each with what says that it runs now: -t is in seconds of the guest, which are long.
TESTS = {"memcheck:-t:1:-k:atomics+ping-pong+message-passing+shootdown:-n:1000000": "memcheck: 3 vCPUs",
         "regs:-t:1": "regs: 3 vCPUs", "ipi:-t:1:-n:1000000": "DVMM-GUEST: regs ok"}


# Seconds: some before it has asked, some while the vCPU moves, some while its old node is left.
KILLED_AFTER = (0.1, 0.2, 0.25, 0.3, 0.4)


class Moves:
    """Moves vCPUs, and keeps what the moves cost."""

    def __init__(self, cluster):
        self.cluster, self.origin, self.made = cluster, cluster.bed.hosts[0], []
        self.at = {0: 1, 1: 1, 2: 2}

    def nodes(self):
        return {vcpu["vcpu"]: int(vcpu["node"][1:]) for vcpu in self.cluster.dvmm(self.origin, "vcpu list guest")}

    def move(self, vcpu, to):
        took = self.cluster.dvmm(self.origin, f"vcpu move guest:{vcpu} n{to}")
        assert (took["from"], took["node"]) == (f"n{self.at[vcpu]}", f"n{to}"), took
        self.at[vcpu] = to
        assert self.nodes() == self.at, (self.nodes(), self.at)
        self.made.append(took)
        print(f"# vCPU {vcpu} {took['from']} -> {took['node']}: stood still {took['downtime_ns'] / 1e6:.1f} ms "
              f"({took['downtime_ns'] / took['rtt_ns']:.1f} round trips), {took['bytes']} bytes, "
              f"{took['late_interrupts']} late", flush=True)

    def next(self, vcpu):
        self.move(vcpu, self.at[vcpu] % len(self.cluster.bed.hosts) + 1)

    def gather(self, node):
        for vcpu in (1, 2):
            if self.at[vcpu] != node:
                self.move(vcpu, node)

    def kill_mover(self, vcpu, after):
        """Who asked for a move is killed: the vCPU has moved or not, and the next move is no worse for it."""
        hosts = len(self.cluster.bed.hosts)
        self.origin.run(f"timeout -s KILL {after} {DVMM} vcpu move guest:{vcpu} n{self.at[vcpu] % hosts + 1} || true")
        for _ in range(100):
            to = self.nodes()[vcpu] % hosts + 1
            job = self.origin.start(f"{DVMM} vcpu move guest:{vcpu} n{to}")
            if job.wait(60) == 0:
                break
            assert re.search("another vCPU of the VM moves|lives on node", job.errors), job.errors
        self.at[vcpu] = to
        assert self.nodes() == self.at, (self.nodes(), self.at)


def refused(host, words, status, why):
    job = host.start(f"{DVMM} vcpu move {words}")
    assert job.wait(60) == status and re.search(why, job.errors), (words, job.output, job.errors)


def wrong_moves_are_refused(host):
    refused(host, "guest:2 n2", 4, "lives on node 2 already")
    refused(host, "guest:7 n2", 3, "has not created vCPU 7")
    refused(host, "guest:2 n9", 3, "no such node")
    refused(host, "nobody:2 n1", 3, "no such VM")


def held(cluster, host):
    """Bytes of guest memory that have their home on the host, and bytes that it holds."""
    rows = cluster.dvmm(host, "mem list")
    assert rows
    return sum(mem["homed_bytes"] for mem in rows), 4096 * sum(mem["resident_pages"] for mem in rows)


def drain(cluster, moves):
    """The second host's vCPUs, homes and pages leave it while the guest runs."""
    first, second, *others = cluster.bed.hosts
    moves.gather(2)
    job = second.start(f"{DVMM} node leave")
    assert job.wait(60) == 4 and re.search("VMs need this node: guest of node n1 has 2 vCPUs", job.errors), job.errors
    before = held(cluster, second)
    left, = json.loads(first.run(f"{DVMM} -o json node drain n2", 300))
    print(f"# drained: {left}; before it had {before[0]} bytes of homes and held {before[1]}", flush=True)
    # One each where nobody is, and where vCPU 0 is: the nodes have as many CPUs.
    wanted = [1, 1, 3] if others else [1, 1, 1]
    assert sorted(moves.nodes().values()) == wanted, (moves.nodes(), wanted)
    assert held(cluster, second) == (0, 0), held(cluster, second)
    rtt_ns = next(link["rtt_ns"] for link in cluster.dvmm(first, "link list") if link["node"] == "n2")
    figure("node_drain_over_raw_rtt", left["took_ns"] / rtt_ns,
           f"round trips of a message; {left['took_ns'] / 1e9:.1f} s for a guest of 256 MiB of which the node held "
           f"{before[1] >> 20} MiB, and two vCPUs, under load")


def leave(cluster, guest):
    """It is needed no more, and goes."""
    first, second, *_ = cluster.bed.hosts
    said = second.run(f"{DVMM} node leave", 60)
    assert "lab" in said, said
    first.run(f"timeout 30 sh -c 'while {DVMM} -o csv -H node list | grep -q ^n2,; do sleep 0.2; done'", 50)
    state, = (row["state"] for row in cluster.dvmm(first, "vm list"))
    assert state == "running" and guest.job.status is None, (state, guest.errors[-2000:])


def span_and_move(cluster, nr_moves):
    hosts = cluster.bed.hosts
    guest = cluster.start_guest(2, 1, test=",".join(TESTS), memory="n3" if len(hosts) > 2 else "", show="-v" in sys.argv)
    guest.wait("DVMM-GUEST: cpus ok")
    wrong_moves_are_refused(hosts[0])
    moves = Moves(cluster)
    for nr_test, begins in enumerate(TESTS.values(), 1):
        guest.wait(begins)
        while len(moves.made) < nr_moves * nr_test // len(TESTS):
            moves.next(2 if len(moves.made) % 3 else 1)
        if nr_test == 1:
            for after in KILLED_AFTER:
                moves.kill_mover(2, after)
        over = len(re.findall(r"DVMM-GUEST: \w+ ok", guest.output)) - nr_test
        assert over <= 0, f"{over} of the guest's tests ended before the moves"
    if "drain" in sys.argv:
        drain(cluster, moves)
        leave(cluster, guest)
    guest.finish("memcheck", "regs", "ipi", timeout=900)
    for host in hosts:
        cluster.wait_vm_gone(host)
        assert not host.splats(), host.splats()
    return moves.made


def report(made):
    ratios = [move["downtime_ns"] / move["rtt_ns"] for move in made]
    size = [move["bytes"] for move in made]
    figure("vcpu_move_downtime_over_raw_rtt", statistics.median(ratios),
           f"median of {len(made)} moves under load; {min(ratios):.1f} to {max(ratios):.1f} round trips of a message")
    figure("vcpu_move_bytes", statistics.median(size), f"{min(size)} to {max(size)}, all messages", "bytes")


def main(kernel, *words):
    numbers = [int(word) for word in words if word.isdigit()]
    hosts, nr_moves = (numbers + [2, 20][len(numbers):])[:2]
    tap = Tap()
    with Testbed(hosts=hosts, kernel=kernel) as bed:
        cluster = Cluster(bed)
        with tap.case(f"{hosts}_nodes_of_{kernel}_link_up"):
            (cluster.form if "drain" in sys.argv else cluster.up)()
        with tap.case(f"vcpus_move_{nr_moves}_times_under_the_checkers"):
            report(span_and_move(cluster, nr_moves))
        with tap.case("modules_unload_and_nothing_is_left"):
            cluster.down()
    tap.end()


main(*sys.argv[1:])
