# SPDX-License-Identifier: GPL-2.0-or-later
"""What benchmarks share: the raw latencies of the link they compare with, and how a figure is said."""

import json
import re


def figure(name, value, detail, unit="ratio"):
    """One figure, as scripts/bench reads it."""
    print(json.dumps({"name": name, "value": round(value, 2), "unit": unit, "detail": detail}), flush=True)


def raw_latency(bed, tool, size):
    """Typical one-way (ib_send_lat) or whole (ib_read_lat) latency by perftest with events, in us."""
    a, b = bed.hosts[:2]
    server = b.start(f"stdbuf -oL {tool} -e -d rxe0 -s {size} -n 500 -F")
    server.wait_line("Waiting for client", timeout=60)
    out = a.run(f"{tool} -e -d rxe0 -s {size} -n 500 -F {b.address}", 120)
    server.wait(60)
    return float(re.search(rf"^\s*{size}\s+\d+\s+\S+\s+\S+\s+(\S+)", out, re.MULTILINE)[1])


def raw_round_trip(bed):
    """Of a small message, in us."""
    return 2 * raw_latency(bed, "ib_send_lat", 64)
