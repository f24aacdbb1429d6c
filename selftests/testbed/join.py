# SPDX-License-Identifier: GPL-2.0-or-later
"""A host joins a cluster, and then a VM that runs already over the two others, or on one.

    scripts/testbed script selftests/testbed/join.py [KERNEL [CASE...]]

vCPUs move to the new node and back under the guest's memory and interrupt checkers. A node without a link
is refused; one whose slice dies while it joins, or whose host dies then, costs the VM nothing, and may join again.
"""

import re
import signal
import sys
import time

from testbed import Testbed
from testbed.cluster import DVMM, Cluster
from testbed.figures import figure
from testbed.tap import Tap

# Each with what says that it runs now: -t is in seconds of the guest, which are long.
TESTS = {"memcheck:-t:1:-k:atomics+ping-pong+message-passing+shootdown:-n:1000000": "memcheck: 3 vCPUs",
         "regs:-t:1": "regs: 3 vCPUs", "ipi:-t:1:-n:1000000": "DVMM-GUEST: regs ok"}
# Longer than any case: what dies meets a guest that works.
LOAD = {"test": "memcheck:-t:900:-n:100000000:-k:ping-pong", "append": "dvmm.limit=900"}
# What the new node runs as its slice: one that dies as soon as it is known to the kernel, when it is told so.
SLICE = """#!/bin/sh
[ -e /run/slice-dies ] || exec build/user/dvmm-slice "$@"
rm /run/slice-dies
build/user/dvmm-slice "$@" &
until [ -e /proc/$!/fd/4 ]; do :; done
kill -KILL $!
wait $!
"""


def refused(host, words, status, why):
    """status: one, or some of which any will do."""
    job = host.start(f"{DVMM} {words}")
    seen = job.wait(60)
    assert seen in ([status] if isinstance(status, int) else status), (words, seen, job.output, job.errors)
    assert re.search(why, job.errors), (words, job.errors)
    print(f"# {job.errors.strip()}", flush=True)


def until(host, condition, timeout=60):
    """A condition of the shell."""
    host.run(f"timeout {timeout} sh -c 'until {condition}; do sleep 0.2; done'", timeout + 20)


def wait_for(what, condition, timeout=60):
    end_s = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end_s, f"never: {what}"
        time.sleep(0.2)


def places(cluster, vm):
    return [row["node"] for row in cluster.dvmm(cluster.bed.hosts[0], f"vcpu list {vm}")]


def crossing(cluster, vm):
    """Pages that came to the origin so far: grows while its vCPUs and others work on the same memory."""
    stats = cluster.dvmm(cluster.bed.hosts[0], f"stat {vm}")
    return next(int(stat["value"]) for stat in stats if stat["counter"] == "pages_received")


def goes_on(cluster, guest, vm):
    before = crossing(cluster, vm)
    wait_for(f"{vm} works on both hosts", lambda: crossing(cluster, vm) > before)
    assert guest.job.status is None and "FAIL" not in guest.output, guest.output[-2000:] + guest.errors[-2000:]


def nothing_is_left(cluster, host):
    """Of a VM that the host was not taken into."""
    cluster.wait_vm_gone(host)
    until(host, "! pgrep -x dvmm-slice >/dev/null")
    assert not host.splats(), host.splats()


def take_slice_program(host):
    host.run(f"mkdir -p /etc/dvmm && printf '[node]\\nslice-program = /run/slice\\n' >/etc/dvmm/agent.conf && "
             f"cat >/run/slice <<'END' && chmod +x /run/slice\n{SLICE}END\n")


def loaded_guest(cluster, name):
    guest = cluster.start_guest(1, 1, name=name, **LOAD)
    guest.wait(r"memcheck: \d+ vCPUs", timeout=600)
    return guest


def end(cluster, guest):
    guest.host.run("pkill -TERM -x qemu-system-x86")
    guest.job.wait(60)
    for host in cluster.bed.hosts:
        if host.is_alive():
            cluster.wait_vm_gone(host)
            assert not host.splats(), host.splats()


# ---- links first ----

def without_a_link_refused(cluster):
    """The new node has no kernel modules, then no link to one of the VM's two nodes."""
    first, second, third = cluster.bed.hosts
    cluster.take_in(third, words=["agent"])
    refused(first, "vm join guest n3", 6, "guest: .*link to node 3")
    refused(first, "vcpu move guest:2 n3", 6, "guest:2: .*link to node 3")
    second.cut_link(third)
    cluster.node_with_state_up(third, words=["modules"])
    until(first, f"{DVMM} -o csv -H link list | grep -q ^n3,.*,up,", 90)
    refused(first, "vm join guest n3", 6, "guest: .*link")
    nothing_is_left(cluster, third)
    second.cut_link(third, on=False)
    cluster.wait_links(90)


def move(cluster, vcpu, to, joins=False):
    took = cluster.dvmm(cluster.bed.hosts[0], f"vcpu move guest:{vcpu} {to}")
    assert (took["node"], took["joined"]) == (to, joins), took
    assert places(cluster, "guest")[vcpu] == to, places(cluster, "guest")
    print(f"# vCPU {vcpu} {took['from']} -> {to}: stood still {took['downtime_ns'] / 1e6:.1f} ms "
          f"({took['downtime_ns'] / took['rtt_ns']:.1f} round trips), {took['late_interrupts']} late", flush=True)
    return took


def vcpus_move_to_a_node_that_joins(cluster):
    """Under three checkers one after the other, on other nodes each time."""
    first, _, third = cluster.bed.hosts
    guest = cluster.start_guest(2, 1, test=",".join(TESTS), show="-v" in sys.argv)
    guest.wait("DVMM-GUEST: cpus ok", timeout=600)
    without_a_link_refused(cluster)
    steps = iter([[(2, "n3", True), (1, "n3")], [(1, "n1"), (2, "n2")], [(2, "n3"), (1, "n2")]])
    for nr, begins in enumerate(TESTS.values()):
        guest.wait(begins, timeout=600)
        for step in next(steps):
            took = move(cluster, *step)
            if took["joined"]:
                figure("join_over_raw_rtt", took["join_ns"] / took["rtt_ns"],
                       f"round trips of a message; {took['join_ns'] / 1e6:.0f} ms until a third node had its part in a guest of "
                       f"256 MiB under load")
        refused(first, "vm join guest n3", 4, "guest: .*part in")
        over = len(re.findall(r"DVMM-GUEST: \w+ ok", guest.output)) - nr - 1
        assert over <= 0, f"{over} of the guest's tests ended before the moves"
    assert [row["vm"] for row in cluster.dvmm(third, "vm list")] == ["guest"]
    guest.finish("memcheck", "regs", "ipi", timeout=900)
    for host in cluster.bed.hosts:
        nothing_is_left(cluster, host)


# ---- a VM that was alone ----

def vm_without_other_nodes_refused(cluster):
    """Unless that was asked for at its start."""
    first, second, _ = cluster.bed.hosts
    program = first.start(f"{DVMM} run --name alone --place 0=n1 -- sleep 600")
    wait_for("the VM is there", lambda: [row["vm"] for row in cluster.dvmm(first, "vm list")] == ["alone"])
    refused(first, "vm join alone n2", 6, "alone: .*without other nodes.*--grow")
    program.kill(signal.SIGTERM)
    program.wait(60)
    nothing_is_left(cluster, second)
    cluster.wait_vm_gone(first)


def vm_of_one_node_grows(cluster):
    """To a second node under the memory checker, to a third under that of interrupts; then it is alone again."""
    first, second, third = cluster.bed.hosts
    vm_without_other_nodes_refused(cluster)
    tests = list(TESTS)[0], list(TESTS)[2]
    guest = cluster.start_guest(2, grow=True, test=",".join(tests), show="-v" in sys.argv)
    guest.wait("memcheck: 2 vCPUs", timeout=600)
    assert places(cluster, "guest") == ["n1", "n1"] and not cluster.dvmm(second, "vm list"), places(cluster, "guest")
    move(cluster, 1, "n2", joins=True)
    goes_on(cluster, guest, "guest")
    move(cluster, 1, "n1")
    move(cluster, 1, "n2")
    assert "DVMM-GUEST: memcheck ok" not in guest.output, "the memory checker ended before the moves"
    guest.wait("DVMM-GUEST: memcheck ok", timeout=900)
    move(cluster, 0, "n3", joins=True)
    move(cluster, 0, "n1")
    move(cluster, 1, "n1")
    for host in (second, third):
        first.run(f"{DVMM} node drain n{host.n}")
        assert all(mem["resident_pages"] == 0 for mem in cluster.dvmm(host, "mem list guest")), host
    assert places(cluster, "guest") == ["n1", "n1"], places(cluster, "guest")
    assert "DVMM-GUEST: ipi ok" not in guest.output, "the checker of interrupts ended before the moves"
    guest.finish("memcheck", "ipi", timeout=900)
    for host in (first, second, third):
        nothing_is_left(cluster, host)


# ---- what dies ----

def slice_dies_while_it_joins(cluster):
    first, _, third = cluster.bed.hosts
    guest = loaded_guest(cluster, "slice")
    goes_on(cluster, guest, "slice")
    third.run("touch /run/slice-dies")
    refused(first, "vm join slice n3", (1, 6), "slice: ")
    third.run("! [ -e /run/slice-dies ]")
    goes_on(cluster, guest, "slice")
    nothing_is_left(cluster, third)
    took = cluster.dvmm(first, "vm join slice n3 --budget 64M")
    print(f"# joined in {took['took_ns'] / 1e6:.0f} ms", flush=True)
    assert cluster.dvmm(third, "mem budget slice")["budget_bytes"] == 64 << 20
    goes_on(cluster, guest, "slice")
    end(cluster, guest)


def host_dies_while_it_joins(cluster):
    """Or just after: the VM goes on either way. Then the host is a node anew, and joins the VM again."""
    first, _, third = cluster.bed.hosts
    guest = loaded_guest(cluster, "host")
    goes_on(cluster, guest, "host")
    watcher = third.start("timeout 60 sh -c 'until pgrep -x dvmm-slice; do sleep 0.02; done'")
    join = first.start(f"{DVMM} -o json vm join host n3")
    watcher.check(60)
    third.kill()
    status = join.wait(60)
    print(f"# the join: {'done, ' + ' '.join(join.output.split()) if status == 0 else join.errors.strip()}", flush=True)
    cluster.wait_event(first, r"link-lost.*", timeout=90)
    goes_on(cluster, guest, "host")
    assert places(cluster, "host") == ["n1", "n2"]
    refused(first, "vm join host n3", 6, "host: there is no link to node 3")
    first.run(f"{DVMM} cluster remove n3")
    third.power_on()
    third.wait_ready()
    cluster.take_in(third)
    cluster.wait_links(90)
    took = cluster.dvmm(first, "vcpu move host:1 n3")
    assert took["joined"] and places(cluster, "host") == ["n1", "n3"], took
    goes_on(cluster, guest, "host")
    end(cluster, guest)


# The first makes host 3 a node of the cluster.
CASES = [vcpus_move_to_a_node_that_joins, vm_of_one_node_grows, slice_dies_while_it_joins, host_dies_while_it_joins]


def explain(bed):
    for host in bed.hosts:
        if host.is_alive():
            text = host.run(f"grep dvmm-agent: /out/agent.log | tail -n 20; {DVMM} event list | tail -20; dmesg | grep -i dvmm | tail; true")
            print("".join(f"# host{host.n}: {line}\n" for line in text.splitlines()), end="", flush=True)


def main(kernel="6.1", *names):
    tap = Tap()
    with Testbed(hosts=3, kernel=kernel) as bed:
        cluster = Cluster(bed)
        names = [name for name in names if name[0] != "-"]
        with tap.case(f"two_of_three_hosts_of_{kernel}_are_a_cluster"):
            cluster.form(bed.hosts[:2])
            take_slice_program(bed.hosts[2])
            if names and CASES[0].__name__ not in names:
                cluster.take_in(bed.hosts[2])
                cluster.wait_links()
        for case in CASES:
            if not names or case.__name__ in names:
                with tap.case(case.__name__):
                    case(cluster)
        if tap.failed:
            explain(bed)
        with tap.case("modules_unload_and_nothing_is_left"):
            bed.hosts[0].start("pkill -TERM -x qemu-system-x86").wait(20)
            for host in bed.hosts:
                if host.is_alive():
                    cluster.wait_vm_gone(host)
            cluster.down()
    tap.end()


main(*sys.argv[1:])
