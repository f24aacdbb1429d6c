# SPDX-License-Identifier: GPL-2.0-or-later
"""What benchmarks share: the raw latencies of the link they compare with, and how a figure is said."""

import json
import re

# With -e programs of perftest now and then wait for an event that has come already.
TRIES, DEADLINE_S = 3, 30


def figure(name, value, detail, unit="ratio"):
    """One figure, as scripts/bench reads it."""
    print(json.dumps({"name": name, "value": round(value, 2), "unit": unit, "detail": detail}), flush=True)


def perftest(bed, tool, size):
    """The columns of a program of perftest between the first two hosts."""
    a, b = bed.hosts[:2]
    for _ in range(TRIES):
        server = b.start(f"timeout {DEADLINE_S} stdbuf -oL {tool} -d rxe0 -s {size} -n 500 -F")
        server.wait_line("Waiting for client", timeout=60)
        out = a.run(f"timeout {DEADLINE_S} {tool} -d rxe0 -s {size} -n 500 -F {b.address} || true", 120)
        server.wait(60)
        columns = re.search(rf"^\s*{size}\s+\d+\s.*$", out, re.MULTILINE)
        if columns:
            return columns[0].split()
        print(f"# {tool} said nothing within {DEADLINE_S} s: once more", flush=True)
    raise AssertionError(f"{tool}: {out}")


def raw_latency(bed, tool, size):
    """Median of the one-way (ib_send_lat) or whole (ib_read_lat) latency with events, in us."""
    return float(perftest(bed, f"{tool} -e", size)[4])


def raw_read_latency(bed):
    """Median and 99th percentile of reading 4 KiB, with events, in us."""
    columns = perftest(bed, "ib_read_lat -e", 4096)
    return float(columns[4]), float(columns[7])


def raw_read_bandwidth(bed):
    """Average of ib_read_bw with 4 KiB, in 10^6 bytes/s."""
    return float(perftest(bed, "ib_read_bw --report_gbits", 4096)[3]) * 1000 / 8


def raw_round_trip(bed):
    """Of a small message, in us."""
    return 2 * raw_latency(bed, "ib_send_lat", 64)
