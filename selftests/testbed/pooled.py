# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest larger than the memory of either host: it fills and verifies all it has, within a budget
on each; then one host is short of memory and gets shared copies back while the guest goes on.

    scripts/testbed script selftests/testbed/pooled.py [KERNEL [HOST_MIB GUEST_MIB BUDGET_MIB]] [-v]

Homes are interleaved: half of the guest must fit into each budget, and a budget into its host
beside the kernel and QEMU. selftests/unit shows that the guest's program finds a wrong word.
"""

import contextlib
import re
import sys
import time

from testbed import Deadline, Testbed
from testbed.cluster import DVMM, Cluster
from testbed.tap import Tap

MIB = 1 << 20
# All of it; then what leaves copies on both hosts; again while one is short; and work until the end.
TESTS = "touchall:-n:1000000,touchall:-n:6000,touchall:-n:6000,memcheck:-t:1:-k:atomics+ping-pong"
# A program in the host that takes what is free and more: no swap, so it is never given back.
HOG = "dd if=/dev/zero of=/dev/shm/hog bs=1M count={} 2>/dev/null"


def meminfo(host, what):
    """MiB."""
    return int(re.search(rf"{what}:\s+(\d+)", host.run("cat /proc/meminfo"))[1]) >> 10


def stats(cluster, host):
    return {row["counter"]: row["value"] for row in cluster.dvmm(host, "stat pooled")}


def tell(cluster):
    for host in cluster.bed.hosts:
        print(f"# {time.monotonic():.0f} s {host}:", *(f"{name}={value}" for name, value in stats(cluster, host).items() if value and re.match(
            "faults|fetch|pages|put|pulls|room|evict|prefetch|residency|fault_wait", name)), flush=True)


def wait_telling(cluster, guest, pattern, timeout):
    end = time.monotonic() + timeout
    while True:
        try:
            guest.wait(pattern, 15)
            return
        except Deadline:
            tell(cluster)
            if time.monotonic() > end:
                raise


def budget(cluster, host, size=""):
    return cluster.dvmm(host, f"mem budget pooled {size}")


def post_mortem(cluster):
    for host in cluster.bed.hosts:
        for command in ("free -m", "ps -eo rss,comm --sort=-rss | head -6", "dmesg | tail -25", f"{DVMM} event list | tail -8", f"{DVMM} stat link",
                        "cat /proc/pressure/memory; grep -E 'allocstall|pgscan_direct |refault|oom' /proc/vmstat"):
            job = host.start(command)
            job.wait(30)
            print("".join(f"# {host}: {line}\n" for line in (job.output + job.errors).splitlines()), end="", flush=True)


@contextlib.contextmanager
def explained(cluster):
    """A failure tells what the hosts look like; what the VM did is told every 15 s, see wait_telling()."""
    try:
        yield
    except Exception:
        post_mortem(cluster)
        raise


def no_oom(bed):
    for host in bed.hosts:
        lines = [line for line in host.dmesg().splitlines() if re.search(r"oom|Out of memory|allocation failure", line)]
        assert not lines, f"{host}: {lines}"


def within_budget(cluster, megabytes):
    """Up to what is under way: see slack in dsm/evict.c."""
    for host in cluster.bed.hosts:
        row = budget(cluster, host)
        print(f"# {host}: {row}, free {meminfo(host, 'MemAvailable')} MiB")
        assert row["budget_bytes"] == megabytes * MIB, row
        assert row["resident_bytes"] <= megabytes * MIB * 17 / 16 + MIB, row


def fills_and_verifies(cluster, guest, guest_mib, budget_mib):
    for host in cluster.bed.hosts:
        assert meminfo(host, "MemTotal") < guest_mib, f"{host} is larger than the guest"
    guest.wait(r"DVMM-GUEST: up 2 vCPUs", 400)
    size = int(guest.wait(r"touchall: 2 vCPUs, (\d+) MiB", 300)[1])
    assert size > budget_mib, f"{size} MiB are filled: one host could hold them"
    for phase in ("written", "read backwards", "read scattered"):
        for vcpu in (0, 1):
            wait_telling(cluster, guest, rf"touchall: {phase} by vCPU {vcpu}", 900)
        print("#", guest.wait(rf"touchall: {phase}: .*", 60)[0], flush=True)
        within_budget(cluster, budget_mib)
    guest.wait("touchall: 0 pages wrong", 60)
    guest.wait("DVMM-GUEST: touchall ok", 60)
    for host in cluster.bed.hosts:
        now = stats(cluster, host)
        assert now["puts_owned"] > 0 and now["pulls"] > 0, f"no page had to move for the budget: {now}"
    no_oom(cluster.bed)


def copies_given_back(cluster, host, before, seconds=60):
    end = time.monotonic() + seconds
    while (given := stats(cluster, host)["puts_shared"] - before) < 100:
        assert time.monotonic() < end, f"{given} copies were given back: {stats(cluster, host)}"
        time.sleep(1)
    return given


def gives_copies_back(cluster, guest, host):
    """Without a budget copies pile up, until the host takes its memory back."""
    assert budget(cluster, host, "none")["budget_bytes"] is None
    guest.wait("touchall: 0 pages wrong", 900)
    before = stats(cluster, host)["puts_shared"]
    host.start(HOG.format(max(meminfo(host, "MemAvailable") - 8, 1))).wait(120)
    print(f"# {host}: {host.run('df -m /dev/shm | tail -1').split()[2]} MiB taken, free {meminfo(host, 'MemAvailable')} MiB")
    print(f"# {host}: {copies_given_back(cluster, host, before)} copies given back", flush=True)
    guest.wait("touchall: 0 pages wrong", 900)
    no_oom(cluster.bed)
    host.run("rm /dev/shm/hog")


def main(*words):
    words = [word for word in words if word != "-v"]
    kernel = words[0] if words else "6.1"
    host_mib, guest_mib, budget_mib = map(int, words[1:4] or (312, 262, 140))
    tap = Tap()
    with Testbed(hosts=2, kernel=kernel, cpus=1, mem=f"{host_mib}M") as bed:  # MemTotal is 55 less
        cluster = Cluster(bed)
        cluster.up()
        for host in bed.hosts:
            print(f"# {host}: {meminfo(host, 'MemTotal')} MiB, {meminfo(host, 'MemAvailable')} free", flush=True)
        # More memory than the host has: QEMU is told not to reserve it.
        guest = cluster.start_guest(
            1, 1, name="pooled", test=TESTS, mem=f"{guest_mib}M", home="interleave", show="-v" in sys.argv,
            budget=f"n1={budget_mib}M,n2={budget_mib}M", append="dvmm.limit=3600",
            options=f"-object memory-backend-ram,id=ram,size={guest_mib}M,reserve=off -machine memory-backend=ram")
        with tap.case(f"guest_of_{guest_mib}_mib_on_two_hosts_of_{host_mib}_mib ({kernel})"), explained(cluster):
            fills_and_verifies(cluster, guest, guest_mib, budget_mib)
        with tap.case(f"host_short_of_memory_gets_copies_back_from_a_guest ({kernel})"), explained(cluster):
            gives_copies_back(cluster, guest, bed.hosts[1])
        with tap.case(f"guest_ends_well ({kernel})"), explained(cluster):
            guest.finish("touchall", "memcheck", timeout=900)
            for host in bed.hosts:
                cluster.wait_vm_gone(host)
        with tap.case(f"modules_unload_and_nothing_is_left ({kernel})"):
            cluster.down()
    tap.end()


main(*sys.argv[1:])
