# SPDX-License-Identifier: GPL-2.0-or-later
"""Three hosts with corosync, two guests, and a network that is cut 2 : 1: the guest of the minority is ended by
its agent, before its links are lost, and the one of the majority goes on.

    scripts/testbed script selftests/testbed/quorum.py [KERNEL]

The refusals, the times and what dies are tested without hosts: selftests/unit/quorum. With packages and systemd:
selftests/packages/quorum.py.
"""

import sys

from testbed import Testbed, quorum
from testbed.cluster import DVMM, Cluster
from testbed.tap import Tap


def form(cluster, hosts):
    first, *others = hosts
    cluster.form(lost_after_ms=quorum.LOST_AFTER_MS)
    first.run(f"{DVMM} cluster set fence-after-ms {quorum.FENCE_AFTER_MS}")
    others[-1].run(f"{DVMM} cluster set membership corosync")
    quorum.all_in(cluster, hosts)
    quorum.show(first.run(f"{DVMM} cluster info; {DVMM} cluster list"))


def main(kernel="6.1"):
    tap = Tap()
    with Testbed(hosts=3, kernel=kernel) as bed:
        cluster, hosts = Cluster(bed), bed.hosts
        first, _, alone = hosts
        with tap.case(f"three_nodes_of_{kernel}_come_to_quorum"):
            form(cluster, hosts)
        with tap.case("two_guests_run"):
            major = cluster.start_guest(1, 1, name="major", **quorum.LOAD)
            major.wait(r"memcheck: \d+ vCPUs", timeout=400)
            minor = quorum.start_running_minor(cluster, alone)
            cluster.wait_crossing("major", first, timeout=90)
        with tap.case("minority_ends_its_guest_before_its_links_are_lost"):
            quorum.minority_ends(cluster, hosts, alone, minor)
        with tap.case("majority_goes_on"):
            quorum.all_in(cluster, hosts[:2])
            quorum.goes_on(cluster, major, first)
        with tap.case("healed_network_is_one_quorum"):
            quorum.cut(hosts, alone, on=False)
            quorum.all_in(cluster, hosts)
            cluster.wait_links(90)
            cluster.wait_crossing("major", first, timeout=90)
        with tap.case("third_node_leaves"):
            quorum.leave(cluster, alone, hosts)
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
