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
from nodes import share, up  # noqa: E402
from testbed import Testbed  # noqa: E402
from testbed.figures import figure, raw_latency, raw_read_bandwidth, raw_round_trip  # noqa: E402

ROUNDS, PAGES, TOUCHED = 5, 400, 4000


def microseconds(node, what, pages, start=""):
    return float(re.search(r"([\d.]+) us", node.ask(f"time {what} {pages} {start}"))[1])


def metadata(node, pages):
    """Bytes the module keeps on a node for each page it has touched."""
    info = dict(zip(*[iter(node.ask("info").split())] * 2))
    return int(info["metadata"]) / pages


def sequential(node, window, start):
    node.host.run(f"echo {window} > /sys/module/dvmm_dsm/parameters/prefetch_window")
    return microseconds(node, "readmiss", PAGES, start)


def measure(bed, a, b):
    times = {name: [] for name in ("touch", "shmem", "readmiss", "upgrade", "read4k", "rtt", "alone", "ahead")}
    for i in range(ROUNDS):
        start = 30000 + 3 * i * PAGES
        times["touch"].append(microseconds(a, "touch", TOUCHED))
        times["shmem"].append(microseconds(a, "shmem", TOUCHED))
        a.ask(f"time write {3 * PAGES} {start}")
        times["ahead"].append(sequential(b, 32, start + PAGES))
        times["alone"].append(sequential(b, 0, start + 2 * PAGES))
        times["readmiss"].append(microseconds(b, "readmiss", PAGES, start))
        times["read4k"].append(raw_latency(bed, "ib_read_lat", 4096))
        times["upgrade"].append(microseconds(b, "upgrade", PAGES, start))
        times["rtt"].append(raw_round_trip(bed))
    return {name: statistics.median(values) for name, values in times.items()}


def main(kernel="6.1"):
    with Testbed(hosts=2, kernel=kernel, cpus=1, mem="1G") as bed:
        a, b = up(bed.hosts)
        share([a, b], 256)
        us = measure(bed, a, b)
        bandwidth = raw_read_bandwidth(bed)
        home, other = metadata(a, ROUNDS * (3 * PAGES + TOUCHED)), metadata(b, 3 * ROUNDS * PAGES)
        said = ", ".join(f"{name} {value:.1f} us" for name, value in us.items())
    figure("local_fault_over_shmem", us["touch"] / us["shmem"], said)
    figure("read_miss_home_over_raw_read4k", us["readmiss"] / us["read4k"], "ib_read_lat -e, typical")
    figure("write_upgrade_over_raw_rtt", us["upgrade"] / us["rtt"], "2 x ib_send_lat -e 64 B, typical")
    figure("prefetch_on_over_off", us["alone"] / us["ahead"], f"sequential read, {us['ahead']:.0f} us a page")
    figure("seq_read_over_read_bw4k", 4096 / us["ahead"] / bandwidth, f"ib_read_bw {bandwidth:.1f} MB/s")
    figure("metadata_bytes_per_page", home, f"at home; {other:.0f} elsewhere", "bytes")


main(*sys.argv[1:])
