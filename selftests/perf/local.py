# SPDX-License-Identifier: GPL-2.0-or-later
"""A VM whose vCPUs are all here beside the same one on the host's own KVM: local.py [kernel]."""

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


def main(kernel="6.1"):
    build()
    with Testbed(hosts=1, kernel=kernel, cpus=1, mem="1G") as bed:
        cluster, host = Cluster(bed), bed.hosts[0]
        cluster.node_up(host, 1).check(120)
        stock, ours = [], []
        for _ in range(ROUNDS):
            stock.append(times(host))
            ours.append(times(host, f"{DVMM} run --name local --place 0=n1 --"))
            cluster.wait_vm_gone(host)
        cluster.down()
    ratios = {name: statistics.median(run[name] for run in ours) / statistics.median(run[name] for run in stock)
              for name in stock[0]}
    said = ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items())
    figure("local_overhead", max(ratios.values()), f"the worst of {said}; ours / stock, medians of {ROUNDS}")


main(*sys.argv[1:])
