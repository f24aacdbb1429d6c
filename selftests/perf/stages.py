# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the time of a read miss goes, by tracepoints on both nodes: stages.py [kernel].

Home has the page, no prefetch. The clocks of the hosts need not agree: what neither host
spends is the wire's, both ways together.
"""

import os
import re
import statistics
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "../dsm"), os.path.join(HERE, "../testbed")]
from nodes import build, share, up  # noqa: E402
from testbed import Testbed  # noqa: E402
from testbed.figures import figure  # noqa: E402

PAGES, START = 400, 30000
TRACING = "/sys/kernel/tracing"
LINE = re.compile(r"\s(\d+): (dsm_\w+): .* page=(\d+) (\S+) peer=")
STAGES = {
    "request": "from the fault to the GetS being sent",
    "wire": "GetS and Data crossing, with both hosts' drivers and hand-offs",
    "serve": "at home, from GetS to Data being sent",
    "install": "from Data's coming to Done being sent",
    "resume": "wake-up, mapping, return, and the next fault's entry",
}


def start_tracing(host):
    host.run(f"mount -t tracefs none {TRACING} 2>/dev/null; cd {TRACING} && echo x86-tsc > trace_clock && "
             "echo 8192 > buffer_size_kb && echo 1 > events/dvmm_dsm/enable && echo 1 > tracing_on")


def read_trace(host):
    """{(event, message): {page: ticks}}, the first of each."""
    seen = {}
    for ticks, event, page, message in LINE.findall(host.run(f"cd {TRACING} && echo 0 > tracing_on && cat trace", 120)):
        seen.setdefault((event, message), {}).setdefault(int(page), int(ticks))
    return seen


def stages_of(page, home, asker):
    """Ticks of each stage of one miss."""
    fault, asked = asker["dsm_event", "read"][page], asker["dsm_send", "GetS"][page]
    came, served = home["dsm_event", "GetS"][page], home["dsm_send", "Data"][page]
    data, done = asker["dsm_event", "Data"][page], asker["dsm_send", "Done"][page]
    return {"request": asked - fault, "wire": data - asked - (served - came), "serve": served - came,
            "install": done - data, "resume": asker["dsm_event", "read"][page + 1] - done}


def main(kernel="6.1"):
    build(kernel)
    with Testbed(hosts=2, kernel=kernel, cpus=1, mem="1G") as bed:
        a, b = up(bed.hosts)
        share([a, b], 256)
        b.host.run("echo 0 > /sys/module/dvmm_dsm/parameters/prefetch_window")
        a.ask(f"time write {PAGES} {START}")
        for host in bed.hosts:
            start_tracing(host)
        b.ask(f"time readmiss {PAGES} {START}")
        home, asker = read_trace(a.host), read_trace(b.host)
    misses = [stages_of(page, home, asker) for page in range(START + 20, START + PAGES - 1)]
    ticks = {name: statistics.median(miss[name] for miss in misses) for name in STAGES}
    for name, what in STAGES.items():
        figure(f"read_miss_stage_{name}", 100 * ticks[name] / sum(ticks.values()), what, "percent")


main(*sys.argv[1:])
