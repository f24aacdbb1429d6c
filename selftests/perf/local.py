# SPDX-License-Identifier: GPL-2.0-or-later
"""A VM whose vCPUs are all here beside the same one on the host's own KVM: local.py [kernel].

And one that other nodes may join (--grow): all that it costs to be ready for them, with none there.
"""

import os
import re
import statistics
import subprocess
import sys

from testbed import Testbed, kernels
from testbed.cluster import DVMM, Cluster
from testbed.figures import figure

ROUNDS, EXITS, PAGES = 7, 3000, 6000
SOURCE, PROGRAM = f"{kernels.TOP}/selftests/perf/local.c", f"{kernels.TOP}/build/selftests/perf/local"


def build():
    os.makedirs(os.path.dirname(PROGRAM), exist_ok=True)
    subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", SOURCE, "-o", PROGRAM], check=True)


def times(host, prefix=""):
    out = host.run(f"{prefix} {PROGRAM} {EXITS} {PAGES}", 120)
    return {name: int(ns) for name, ns in re.findall(r"^(\w+) (\d+)$", out, re.MULTILINE)}


def report(name, stock, ours):
    ratios = {what: statistics.median(run[what] for run in ours) / statistics.median(run[what] for run in stock)
              for what in stock[0]}
    said = ", ".join(f"{what} {ratio:.2f}" for what, ratio in ratios.items())
    figure(name, max(ratios.values()), f"the worst of {said}; ours / stock, medians of {ROUNDS}")


def main(kernel="6.1"):
    build()
    with Testbed(hosts=1, kernel=kernel, cpus=1, mem="1G") as bed:
        cluster, host = Cluster(bed), bed.hosts[0]
        cluster.node_up(host, 1).check(120)
        stock, ours = [], {"": [], "--grow": []}
        for _ in range(ROUNDS):
            stock.append(times(host))
            for words, runs in ours.items():
                runs.append(times(host, f"{DVMM} run --name local --place 0=n1 {words} --"))
                cluster.wait_vm_gone(host)
        cluster.down()
    report("local_overhead", stock, ours[""])
    report("local_overhead_grow", stock, ours["--grow"])


main(*sys.argv[1:])
