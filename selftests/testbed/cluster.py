# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts become a cluster by dvmm cluster init, token and join; their kernels link with the key that was exchanged.

    scripts/testbed script selftests/testbed/cluster.py [KERNEL [HOSTS]]

What each refusal looks like is tested without hosts: selftests/unit/cluster.
"""

import json
import sys

from testbed import Testbed
from testbed.cluster import DVMM, Cluster
from testbed.tap import Tap

STATE = "/var/lib/dvmm/cluster"


def node_up(cluster, host, word):
    modules = cluster.bed.module_dir(host.release)
    host.start(f"DVMM_MODULES={modules} sh selftests/testbed/node-up {word}").check(120)


def token(cluster, host):
    return cluster.dvmm(host, "cluster token")["token"]


def states(cluster, host, what="link list"):
    return {row["node"]: row["state"] for row in cluster.dvmm(host, what)}


def first_node(cluster, host):
    said = host.run(f"{DVMM} cluster init --name lab --node n1")
    assert "node n1 (1) of the new cluster lab" in said, said
    node_up(cluster, host, "modules")
    node_up(cluster, host, "agent")
    assert cluster.dvmm(host, "node info")["address"] == "10.77.0.1:7471"


def refused(cluster, first, host):
    """A token whose secret is wrong, then one whose CA is: nothing is left, and the next join works."""
    good = token(cluster, first).split("/")
    for at in (2, 3):
        bad = [*good]
        bad[at] = bad[at][:-1] + ("0" if bad[at][-1] != "0" else "1")
        job = host.start(f"{DVMM} cluster join {'/'.join(bad)} --node n{host.n}")
        assert job.wait(60) == 5, job.errors
        print(f"# {job.errors.strip()}", flush=True)
    left = host.run(f"ls -A {STATE} {STATE}.new 2>/dev/null || true")
    assert not left, left
    assert cluster.dvmm(first, "cluster info")["version"] == 1


def join(cluster, first, host, late_modules):
    """Modules before the agent, or when the agent runs already."""
    said = host.run(f"{DVMM} cluster join {token(cluster, first)} --node n{host.n}")
    assert f"node n{host.n} ({host.n}) of cluster lab" in said, said
    words = ["agent", "modules"] if late_modules else ["modules", "agent"]
    for word in words:
        node_up(cluster, host, word)
    host.run(f"timeout 30 sh -c 'until {DVMM} node info >/dev/null 2>&1; do sleep 0.2; done'", 60)


def linked(cluster, hosts):
    cluster.wait_links()
    for host in hosts:
        wanted = {f"n{other.n}": "up" for other in hosts if other is not host}
        assert states(cluster, host) == wanted, states(cluster, host)
    rows = cluster.dvmm(hosts[-1], "cluster list")
    print("".join(f"# {line}\n" for line in hosts[0].run(f"{DVMM} cluster; {DVMM} link list").splitlines()), end="")
    assert len({row["version"] for row in rows}) == 1, rows


def one_key(hosts):
    keys = {host.run(f"cat {STATE}/cluster.key").strip() for host in hosts}
    assert len(keys) == 1 and len(keys.pop()) == 64
    with_ca = [host.n for host in hosts if "ca.key" in host.run(f"ls {STATE}")]
    assert with_ca == [1], with_ca


def one_configuration(cluster, hosts):
    """Given to the last node, it reaches the first; with a node cut off, nobody gets it."""
    first, last = hosts[0], hosts[-1]

    def lost_after(host):
        return next(row["value"] for row in cluster.dvmm(host, "cluster settings") if row["setting"] == "lost-after-ms")

    last.run(f"{DVMM} cluster set lost-after-ms 20000")
    assert {lost_after(host) for host in hosts} == {"20000"}
    for host in hosts[:-1]:
        host.cut_link(last)
    job = first.start(f"{DVMM} cluster set lost-after-ms 30000")
    assert job.wait(60) == 6, job.errors
    assert f"node n{last.n} does not answer, and a change needs all nodes" in job.errors, job.errors
    for host in hosts[:-1]:
        host.cut_link(last, on=False)
    assert {lost_after(host) for host in hosts} == {"20000"}
    cluster.wait_links()
    first.run(f"timeout 90 sh -c 'until {DVMM} cluster set lost-after-ms 30000; do sleep 1; done'", 120)
    assert {lost_after(host) for host in hosts} == {"30000"}


def asks_over_tls(cluster, hosts):
    for host in hosts[1:]:
        assert json.loads(hosts[0].run(f"{DVMM} -o json --on n{host.n} node info"))["id"] == host.n


def removed(cluster, hosts):
    *others, last = hosts
    cluster.down([last])
    others[0].run(f"{DVMM} cluster remove n{last.n}")
    for host in others:
        assert f"n{last.n}" not in states(cluster, host), states(cluster, host)
        assert f"n{last.n}" not in states(cluster, host, "cluster list")


def explain(bed):
    for host in bed.hosts:
        if host.is_alive():
            text = host.run(f"tail -n 20 /out/agent.log; {DVMM} event list | tail -20; dmesg | grep -i dvmm | tail; true")
            print("".join(f"# host{host.n}: {line}\n" for line in text.splitlines()), end="", flush=True)


def main(kernel="6.1", hosts="3"):
    tap = Tap()
    with Testbed(hosts=int(hosts), kernel=kernel) as bed:
        cluster, (first, *others) = Cluster(bed), bed.hosts
        with tap.case(f"first_node_of_{kernel}_needs_no_file"):
            first_node(cluster, first)
        with tap.case("wrong_tokens_leave_nothing"):
            refused(cluster, first, others[0])
        with tap.case("hosts_join_by_token"):
            for host in others:
                join(cluster, first, host, late_modules=host is others[-1])
        with tap.case("links_come_up_with_the_key_that_was_exchanged"):
            linked(cluster, bed.hosts)
            one_key(bed.hosts)
        with tap.case("agents_ask_each_other"):
            asks_over_tls(cluster, bed.hosts)
        with tap.case("configuration_reaches_all_or_none"):
            one_configuration(cluster, bed.hosts)
        with tap.case("removed_node_is_forgotten"):
            removed(cluster, bed.hosts)
        if tap.failed:
            explain(bed)
        with tap.case("modules_unload_and_nothing_is_left"):
            cluster.down()
    tap.end()


main(*sys.argv[1:])
