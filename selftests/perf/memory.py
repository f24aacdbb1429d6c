# SPDX-License-Identifier: GPL-2.0-or-later
"""What faults cost, as ratios of one run, five rounds in turn, medians: memory.py [kernel].

Prints one JSON object a figure. The memory objects are real, the program that touches
them is selftests/dsm/memory.c: no guest, so no exit is in the figures.
"""

import os
import re
import statistics
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../dsm"), os.path.join(HERE, "../testbed")]
from nodes import build, share, up  # noqa: E402
from testbed import Testbed  # noqa: E402
from testbed.figures import figure, raw_read_bandwidth, raw_read_latency, raw_round_trip  # noqa: E402

ROUNDS, PAGES, TOUCHED = 5, 400, 4000
LARGE_PAGES, LARGE_START = 3 * 512, 80 * 512


def microseconds(node, what, pages, start=""):
    return float(re.search(r"([\d.]+) us", node.ask(f"time {what} {pages} {start}"))[1])


def metadata(node, pages):
    """Bytes the module keeps on a node for each page it has touched."""
    info = dict(zip(*[iter(node.ask("info").split())] * 2))
    return int(info["metadata"]) / pages


def set_window(node, pages):
    node.host.run(f"echo {pages} > /sys/module/dvmm_dsm/parameters/prefetch_window")


def set_large(node, yes):
    node.host.run(f"echo {'Y' if yes else 'N'} > /sys/module/dvmm_dsm/parameters/large_pages")


def touch_large(node, i):
    """First touch of extents that come as large pages, as microseconds() has it of single ones."""
    set_large(node, True)
    us = microseconds(node, "write", LARGE_PAGES, LARGE_START + i * LARGE_PAGES)
    set_large(node, False)
    return us


def sequential(node, window, start):
    set_window(node, window)
    return microseconds(node, "readmiss", PAGES, start)


def tail(node, start):
    """Median and 99th percentile of read misses, each waited for alone."""
    set_window(node, 0)
    return [float(word) for word in re.findall(r"p\d+ ([\d.]+)", node.ask(f"misses {PAGES} {start}"))]


def wire_bytes(node, what, pages, start):
    """On its wire, both ways, with all headers and acknowledgements, per page."""
    count = "cat /sys/class/net/eth0/statistics/[rt]x_bytes"
    before = node.host.run(count).split()
    node.ask(f"time {what} {pages} {start}")
    after = node.host.run(count).split()
    return (sum(map(int, after)) - sum(map(int, before))) / pages


def measure(bed, a, b):
    times = {name: [] for name in ("touch", "large", "shmem", "readmiss", "tail", "upgrade", "read4k", "rawtail", "rtt",
                                   "alone", "ahead", "bandwidth", "missbytes")}
    for i in range(ROUNDS):
        start = 30000 + 4 * i * PAGES
        times["touch"].append(microseconds(a, "touch", TOUCHED))
        times["large"].append(touch_large(a, i))
        times["shmem"].append(microseconds(a, "shmem", TOUCHED))
        a.ask(f"time write {4 * PAGES} {start}")
        times["ahead"].append(sequential(b, 32, start + PAGES))
        times["bandwidth"].append(raw_read_bandwidth(bed))
        times["alone"].append(sequential(b, 0, start + 2 * PAGES))
        for name, value in zip(("readmiss", "tail"), tail(b, start)):
            times[name].append(value)
        for name, value in zip(("read4k", "rawtail"), raw_read_latency(bed)):
            times[name].append(value)
        times["missbytes"].append(wire_bytes(b, "readmiss", PAGES, start + 3 * PAGES))
        times["upgrade"].append(microseconds(b, "upgrade", PAGES, start))
        times["rtt"].append(raw_round_trip(bed))
    return {name: statistics.median(values) for name, values in times.items()}


def main(kernel="6.1"):
    build(kernel)
    with Testbed(hosts=2, kernel=kernel, cpus=1, mem="1G") as bed:
        a, b = up(bed.hosts)
        set_large(a, True)
        share([a, b], 256)
        set_large(a, False)
        us = measure(bed, a, b)
        home, other = metadata(a, ROUNDS * (4 * PAGES + TOUCHED + LARGE_PAGES)), metadata(b, 4 * ROUNDS * PAGES)
        set_window(b, 32)
        zero = wire_bytes(b, "write", PAGES, 50000)
        said = ", ".join(f"{name} {value:.1f}" for name, value in us.items())
    figure("local_fault_over_shmem", us["touch"] / us["shmem"], said)
    figure("large_pages_on_over_off", us["touch"] / us["large"],
           f"first touch by a program: {us['touch']:.2f} us a page, as part of 2 MiB {us['large']:.2f}")
    figure("read_miss_home_over_raw_read4k", us["readmiss"] / us["read4k"], "medians; raw: ib_read_lat -e")
    figure("read_miss_tail_over_raw_tail", us["tail"] / us["readmiss"] / (us["rawtail"] / us["read4k"]),
           f"p99 over p50; raw: {us['rawtail'] / us['read4k']:.2f}")
    figure("write_upgrade_over_raw_rtt", us["upgrade"] / us["rtt"], "2 x ib_send_lat -e 64 B, typical")
    figure("prefetch_on_over_off", us["alone"] / us["ahead"], f"sequential read, {us['ahead']:.0f} us a page")
    figure("seq_read_over_read_bw4k", 4096 / us["ahead"] / us["bandwidth"], f"ib_read_bw {us['bandwidth']:.1f} MB/s")
    figure("wire_bytes_per_read_miss", us["missbytes"] / 4096, "no prefetch; with the headers of all layers and acks")
    figure("zero_page_wire_bytes", zero, "sequential writes; with the headers of all layers and acks", "bytes")
    figure("metadata_bytes_per_page", home, f"at home; {other:.0f} elsewhere", "bytes")


main(*sys.argv[1:])
