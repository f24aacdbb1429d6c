# SPDX-License-Identifier: GPL-2.0-or-later
"""What faults cost, as ratios of one run, five rounds in turn, medians: bench.py [kernel]."""

import os
import re
import statistics
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from nodes import share, up  # noqa: E402
from testbed import Testbed  # noqa: E402

ROUNDS, PAGES = 5, 400


def microseconds(node, what, pages, start=""):
    return float(re.search(r"([\d.]+) us", node.ask(f"time {what} {pages} {start}"))[1])


def main(kernel="6.1"):
    times = {"touch": [], "shmem": [], "readmiss": [], "upgrade": []}
    with Testbed(hosts=2, kernel=kernel, cpus=1, mem="1G") as bed:
        a, b = up(bed.hosts)
        rtt = min(int(re.search(r"rtt (\d+) ns", node.job.output)[1]) for node in (a, b)) / 1000
        share([a, b], 256)
        for i in range(ROUNDS):
            start = 40000 + i * PAGES
            times["touch"].append(microseconds(a, "touch", 4000))
            times["shmem"].append(microseconds(a, "shmem", 4000))
            a.ask(f"time write {PAGES} {start}")
            times["readmiss"].append(microseconds(b, "readmiss", PAGES, start))
            times["upgrade"].append(microseconds(b, "upgrade", PAGES, start))
        print({name: [round(value, 1) for value in values] for name, values in times.items()}, "rtt", rtt)
        median = {name: statistics.median(values) for name, values in times.items()}
        print(f"local_fault_over_shmem {median['touch'] / median['shmem']:.2f}")
        print(f"read_miss_home_over_smallest_rtt {median['readmiss'] / rtt:.2f}")
        print(f"write_upgrade_over_smallest_rtt {median['upgrade'] / rtt:.2f}")
        print(a.stat(), b.stat(), b.ask("info"), sep="\n")


main(*sys.argv[1:])
