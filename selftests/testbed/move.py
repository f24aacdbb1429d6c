# SPDX-License-Identifier: GPL-2.0-or-later
"""vCPUs go from host to host while the guest runs, under its memory and interrupt checkers.

    scripts/testbed script selftests/testbed/move.py KERNEL [HOSTS] [MOVES] [drain] [-v]

A guest with vCPUs 0 and 1 on the first host and 2 on the second. vCPUs 2 and 1 move in turn, to the
next host each time: to the origin and away from it, and with 3 hosts between two others, of which
the third lends memory only at first. drain: then the second host is drained, also under load.
"""

import re
import statistics
import sys

from testbed import Testbed
from testbed.cluster import Cluster
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


    def kill_mover(self, vcpu, after):
        """Who asked for a move is killed: the vCPU has moved or not, and the next move is no worse for it."""
        hosts = len(self.cluster.bed.hosts)
        self.origin.run(f"timeout -s KILL {after} build/user/dvmm vcpu move guest:{vcpu} n{self.at[vcpu] % hosts + 1} || true")
        for _ in range(100):
            to = self.nodes()[vcpu] % hosts + 1
            job = self.origin.start(f"build/user/dvmm vcpu move guest:{vcpu} n{to}")
            if job.wait(60) == 0:
                break
            assert re.search("another vCPU of the VM moves|lives on node", job.errors), job.errors
        self.at[vcpu] = to
        assert self.nodes() == self.at, (self.nodes(), self.at)


def refused(host, words, status, why):
    job = host.start(f"build/user/dvmm vcpu move {words}")
    assert job.wait(60) == status and re.search(why, job.errors), (words, job.output, job.errors)


def wrong_moves_are_refused(host):
    refused(host, "guest:2 n2", 4, "lives on node 2 already")
    refused(host, "guest:7 n2", 3, "has not created vCPU 7")
    refused(host, "guest:2 n9", 3, "no such node")
    refused(host, "nobody:2 n1", 3, "no such VM")


def drain(cluster, moves):
    """The second host's vCPUs, homes and pages leave it while the guest runs."""
    left, = cluster.dvmm(cluster.bed.hosts[0], "node drain n2")
    print(f"# drained: {left}", flush=True)
    assert 2 not in moves.nodes().values(), moves.nodes()
    holds = [(mem["homed_bytes"], mem["resident_pages"]) for mem in cluster.dvmm(cluster.bed.hosts[1], "mem list")]
    assert holds and not any(homed or pages for homed, pages in holds), holds


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
            cluster.up()
        with tap.case(f"vcpus_move_{nr_moves}_times_under_the_checkers"):
            report(span_and_move(cluster, nr_moves))
        with tap.case("modules_unload_and_nothing_is_left"):
            cluster.down()
    tap.end()


main(*sys.argv[1:])
