# SPDX-License-Identifier: GPL-2.0-or-later
"""What pages cost that several hosts share, on three hosts, without a guest: shared.py [kernel].

Home is the first host. Ratios of one run, five rounds in turn, medians; prefetch is off. Each
measurement is of pages that no other used, and asserts by the counters that it was what it says.
"""

import itertools
import os
import re
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../dsm"), os.path.join(HERE, "../testbed")]
from nodes import BUILD, build, share, up  # noqa: E402
from testbed import Testbed  # noqa: E402
from testbed.figures import figure, raw_latency, raw_round_trip  # noqa: E402

ROUNDS, PAGES, HAMMER_SECONDS, PORT = 5, 200, 10, 7999
LATE_US = 5000  # so much that what the processors do does not count
SOURCE, FLOOR = f"{HERE}/floor.c", f"{os.path.abspath(BUILD)}/selftests/perf/floor"


def build_floor():
    os.makedirs(os.path.dirname(FLOOR), exist_ok=True)
    subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-pthread", SOURCE, "-o", FLOOR], check=True)


class Ranges:
    """Pages not used before."""

    def __init__(self):
        self.next = 20000

    def take(self):
        self.next += PAGES
        return self.next - PAGES


def microseconds(answer, what=""):
    return float(re.search(rf"{what}\s*([\d.]+) us", answer)[1])


def write(node, start):
    return microseconds(node.ask(f"time write {PAGES} {start}"))


def counted(node, name, act):
    """What act() returns, after the node's counter went up by one for each page."""
    before = node.stat().get(name, 0)
    result = act()
    went = node.stat().get(name, 0) - before
    assert abs(went - PAGES) <= PAGES / 50, f"{name} went up by {went} for {PAGES} pages"
    return result


def misses(node, start):
    return microseconds(node.ask(f"misses {PAGES} {start}"), "p50")


def read_misses(ranges, home, reader, third):
    """Median of a read miss served by home, and by an owner that is a third node."""
    start = ranges.take()
    write(home, start)
    at_home = counted(reader, "fetch_hops_2", lambda: misses(reader, start))
    start = ranges.take()
    write(third, start)
    return at_home, counted(reader, "fetch_hops_3", lambda: misses(reader, start))


def write_miss(ranges, writer, owner, *readers):
    """Of pages that the owner has written and then, perhaps, others have read."""
    start = ranges.take()
    write(owner, start)
    for reader in readers:
        misses(reader, start)
    return counted(writer, "faults_remote_write", lambda: write(writer, start))


def drop_copies(node):
    """The node gives all copies away, as to a host that is short of memory."""
    given, quiet = node.stat().get("puts_shared", 0), 0
    for _ in range(100):
        node.host.run("echo 2 >/proc/sys/vm/drop_caches; sleep 0.3")
        now = node.stat().get("puts_shared", 0)
        quiet = quiet + 1 if now == given else 0
        given = now
        if quiet == 3:
            return
    raise AssertionError(f"copies stay: {node.stat()}")


def sent(node):
    return int(re.search(r"messages (\d+)", node.ask("sent"))[1])


def upgrade(ranges, home, reader):
    """Messages beyond those of idle links, while the last sharer, home, writes again."""
    start = ranges.take()
    write(home, start)
    misses(reader, start)
    given = reader.stat().get("puts_shared", 0)
    drop_copies(reader)
    assert reader.stat()["puts_shared"] - given >= PAGES, "copies stay"
    before = sent(home)
    idle = sent(home) - before
    faults = home.stat()
    write(home, start)
    after = home.stat()
    misses_of = [after.get(name, 0) - faults.get(name, 0)
                 for name in ("faults_upgrade", "faults_remote_write", "faults_remote_read")]
    return sum(misses_of), sent(home) - before - idle


def user_space(server, client):
    """Medians of a userfaultfd fault, a page by TCP, and both in one, in us."""
    job = server.host.start(f"exec {FLOOR} serve {PORT}")
    job.wait_line("serving")
    out = client.host.run(f"{FLOOR} ask {server.host.address} {PORT} {PAGES}", 120)
    job.wait(20)
    return {name: int(ns) / 1000 for name, ns in re.findall(r"^(\w+) (\d+)$", out, re.MULTILINE)}


def hammer(a, b, page):
    """Share of the slower one, and the longest stall of any, in s."""
    for node in (a, b):
        node.tell(f"hammer {page} {HAMMER_SECONDS}")
    answers = [node.answer(HAMMER_SECONDS + 60) for node in (a, b)]
    assert all(answer[1] == "ok" for answer in answers), answers
    writes, stalls = zip(*(map(int, re.search(r"(\d+) writes stall (\d+) us", answer[2]).groups()) for answer in answers))
    return min(writes) / sum(writes), max(stalls) / 1e6, writes


def measure(bed, ranges, a, b, c):
    names = ("home", "owner", "one_from_home", "two_from_home", "one_from_far", "two_from_far", "uffd", "tcp", "both",
             "p50", "read4k", "rtt")
    times = {name: [] for name in names}
    for _ in range(ROUNDS):
        at_home, at_owner = read_misses(ranges, a, b, c)
        times["home"].append(at_home)
        times["owner"].append(at_owner)
        times["one_from_home"].append(write_miss(ranges, a, b))
        times["two_from_home"].append(write_miss(ranges, a, b, c))
        times["one_from_far"].append(write_miss(ranges, b, c))
        times["two_from_far"].append(write_miss(ranges, b, c, a))
        for name, us in user_space(a, b).items():
            times[name].append(us)
        times["p50"].append(read_misses(ranges, a, b, c)[0])
        times["read4k"].append(raw_latency(bed, "ib_read_lat", 4096))
        times["rtt"].append(raw_round_trip(bed))
    return {name: statistics.median(values) for name, values in times.items()}


def late_writes(hosts, ranges, a, b, c):
    """write_miss() of one owner and of two sharers while all frames between the hosts are late."""
    for host, peer in itertools.permutations(hosts, 2):
        host.netem(peer, delay_us=LATE_US)
    pairs = [(write_miss(ranges, a, b), write_miss(ranges, a, b, c)) for _ in range(ROUNDS)]
    for host, peer in itertools.permutations(hosts, 2):
        host.netem(peer)
    return [statistics.median(column) for column in zip(*pairs)]


def main(kernel="6.1"):
    build(kernel)
    build_floor()
    ranges = Ranges()
    with Testbed(hosts=3, kernel=kernel, cpus=1, mem="1G") as bed:
        nodes = up(bed.hosts)
        share(nodes, 256)
        for node in nodes:
            node.host.run("echo 0 > /sys/module/dvmm_dsm/parameters/prefetch_window")
        us = measure(bed, ranges, *nodes)
        messages = [upgrade(ranges, *nodes[:2]) for _ in range(3)]
        one_late, two_late = late_writes(bed.hosts, ranges, *nodes)
        fights = [hammer(*nodes[:2], ranges.take()) for _ in range(3)]
        for node in nodes:
            node.end()
    said = ", ".join(f"{name} {value:.0f} us" for name, value in us.items())
    figure("read_miss_owner_over_home", us["owner"] / us["home"], said)
    at_home, far = us["two_from_home"] / us["one_from_home"], us["two_from_far"] / us["one_from_far"]
    figure("write_miss_2sharers_over_1", max(at_home, far), f"the worse of {at_home:.2f} by home, {far:.2f} by another; "
           "two sharers / one owner")
    figure("write_miss_2sharers_over_1_late", two_late / one_late,
           f"by home, each frame {LATE_US} us late: {one_late:.0f} us, {two_late:.0f} us; one after another would be 2")
    figure("upgrade_only_sharer_messages", max(faults for faults, _ in messages),
           f"misses of {PAGES} upgrades; the links carried {[m for _, m in messages]} messages meanwhile, heartbeats too", "count")
    figure("pingpong_min_share", min(share_ for share_, _, _ in fights),
           f"worst of {len(fights)} x {HAMMER_SECONDS} s: {fights}")
    figure("pingpong_longest_stall", max(stall for _, stall, _ in fights),
           "between the ends of two writes of one thread, by its host's clock, its own standstills too", "s")
    figure("read_miss_over_userspace_floor", us["p50"] / (us["uffd"] + us["tcp"]),
           f"medians of single misses; over a fault with a fetch within: {us['p50'] / us['both']:.2f}; "
           f"a raw round trip of 64 B: {us['rtt']:.0f} us, of 4 KiB by TCP {us['tcp']:.0f} us")


main(*sys.argv[1:])
