# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests of quorum share: a cluster of n1, n2, ... with corosync, guests, and a network that is cut 2 : 1."""

import re
import time

from . import cluster as nodes, guest

# Emulated hosts are slow: corosync's token is a quarter of this. Quorum is lost after some two tokens.
LOST_AFTER_MS, FENCE_AFTER_MS = 30000, 3000
LOAD = {"test": "memcheck:-t:900:-n:100000000:-k:ping-pong", "append": "dvmm.limit=900"}


def until(what, condition, timeout=90):
    """Looks again and again; returns what was seen when it was true."""
    end = time.monotonic() + timeout
    while not (seen := condition()):
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.2)
    return seen


def show(text):
    print("".join(f"# {line}\n" for line in text.splitlines()), end="", flush=True)


def info(cluster, host):
    return cluster.dvmm(host, "cluster info")


def quorate(cluster, host):
    return info(cluster, host)["quorate"]


def nr_in_quorum(cluster, host):
    """What its agent said last; 0: none. Nothing is said of a new ring of the same nodes."""
    said = [row for row in cluster.dvmm(host, "event list") if row["event"] in ("quorum", "quorum-lost")]
    match = said and said[-1]["event"] == "quorum" and re.match(r"(\d+) of \d+ nodes:", said[-1]["text"])
    return int(match[1]) if match else 0


def all_in(cluster, hosts, timeout=90):
    """In one quorum, with nobody else."""
    def is_so():
        seen = [info(cluster, host) for host in hosts]
        return len({row["epoch"] for row in seen}) == 1 and all(row["quorate"] for row in seen) and \
            all(nr_in_quorum(cluster, host) == len(hosts) for host in hosts)
    until(f"{len(hosts)} nodes in quorum", is_so, timeout)


def cut(hosts, alone, on=True):
    """One host from the others, or (on=False) no more."""
    for host in hosts:
        if host is not alone:
            host.cut_link(alone, on=on)


def is_stranger(cluster, host, other):
    """The other one is no member any more to this host's kernel."""
    reasons = [row["reason"] for row in cluster.dvmm(host, "link list") if row["node"] == f"n{other.n}"]
    return any("is no member" in reason for reason in reasons)


def start_minor(host):
    """A guest whose VMM runs on the host that will be alone, a vCPU of it on n1. It need not have booted."""
    command = guest.qemu(cpus=2, slow=guest.slowness(3), test=LOAD["test"], append=nodes.BOOT_ALONE)
    return host.start(f"exec {nodes.DVMM} run --name minor --place 0=n{host.n},1=n1 -- {command}")


def start_running_minor(cluster, host):
    """The same, when the VM runs."""
    job = start_minor(host)
    until("minor runs", lambda: any((row["vm"], row["state"]) == ("minor", "running")
                                    for row in cluster.dvmm(host, "vm list")))
    return job


def check_events(events, node="n3"):
    """minor was fenced, and nothing else ended it: a VMM that is killed may leave a call to the other node undone."""
    fenced = re.search(rf"vm-fenced.*minor: it is ended: no quorum for .* \(1 of 3 nodes: {node}\)", events)
    assert fenced and not re.search(r"link-lost|vm-dead", events[:fenced.start()]), events


def minority_ends(cluster, hosts, alone, job):
    """The network is cut: the agent of the host that is alone ends its guest, in time, and makes no other."""
    cut(hosts, alone)
    start = time.monotonic()
    status = job.wait(90)
    took = time.monotonic() - start
    show(f"minor has ended {took:.1f} s after the cut, status {status}: {job.errors.strip()[-300:]}")
    check_events(cluster.events(alone), f"n{alone.n}")
    assert status != 0 and "the VM is dead: it is ended: no quorum" in job.errors, job.errors
    assert took < LOST_AFTER_MS / 1000, took
    assert quorate(cluster, alone) is False
    refused = alone.start(f"{nodes.DVMM} run --place 0=n{alone.n},1=n1 -- true")
    assert refused.wait(60) != 0 and f"node n{alone.n} has no quorum" in refused.errors, refused.errors


def goes_on(cluster, major, host):
    """The guest of this name, under LOAD, that was not disturbed."""
    cluster.wait_crossing("major", host, timeout=90)
    assert major.job.status is None and "FAIL" not in major.output, major.output[-2000:]


def leave(cluster, host, hosts):
    """The node leaves, and its corosync ends."""
    cluster.wait_vm_gone(host)
    said = host.run(f"{nodes.DVMM} node leave", 60)
    assert f"n{host.n}" in said, said
    assert f"n{host.n}" not in {row["node"] for row in cluster.dvmm(hosts[0], "cluster list")}
    until("corosync has ended on it", lambda: host.start("pgrep -x corosync").wait(20) != 0)
