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
from testbed.figures import figure, raw_latency, raw_round_trip  # noqa: E402

ROUNDS, PAGES, TOUCHED = 5, 400, 4000


def microseconds(node, what, pages, start=""):
    return float(re.search(r"([\d.]+) us", node.ask(f"time {what} {pages} {start}"))[1])


def metadata(node, pages):
    """Bytes the module keeps on a node for each page it has touched."""
    info = dict(zip(*[iter(node.ask("info").split())] * 2))
    return int(info["metadata"]) / pages


def measure(bed, a, b):
    times = {name: [] for name in ("touch", "shmem", "readmiss", "upgrade", "read4k", "rtt")}
    for i in range(ROUNDS):
        start = 40000 + i * PAGES
        times["touch"].append(microseconds(a, "touch", TOUCHED))
        times["shmem"].append(microseconds(a, "shmem", TOUCHED))
        a.ask(f"time write {PAGES} {start}")
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
        home, other = metadata(a, ROUNDS * (PAGES + TOUCHED)), metadata(b, ROUNDS * PAGES)
        said = ", ".join(f"{name} {value:.1f} us" for name, value in us.items())
    figure("local_fault_over_shmem", us["touch"] / us["shmem"], said)
    figure("read_miss_home_over_raw_read4k", us["readmiss"] / us["read4k"], "ib_read_lat -e, typical")
    figure("write_upgrade_over_raw_rtt", us["upgrade"] / us["rtt"], "2 x ib_send_lat -e 64 B, typical")
    figure("metadata_bytes_per_page", home, f"at home; {other:.0f} elsewhere", "bytes")


main(*sys.argv[1:])
