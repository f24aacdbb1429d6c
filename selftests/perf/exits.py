# SPDX-License-Identifier: GPL-2.0-or-later
"""What leaving the guest and interrupting another host costs, beside the raw link: exits.py [kernel].

The VMM is exits.c: no device and no coherence is in the figures.
"""

import os
import re
import statistics
import subprocess
import sys

from testbed import Testbed, kernels
from testbed.cluster import DVMM, Cluster
from testbed.figures import figure, raw_round_trip

ROUNDS, EXITS = 5, 200
SOURCE, PROGRAM = f"{kernels.TOP}/selftests/perf/exits.c", f"{kernels.TOP}/build/selftests/perf/exits"


def build():
    os.makedirs(os.path.dirname(PROGRAM), exist_ok=True)
    subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-pthread", SOURCE, "-o", PROGRAM], check=True)


def exits(host):
    """{'pio 0': us, 'pio 1': us, 'ipi': us} of one VM."""
    out = host.run(f"{DVMM} run --name exits --place 0=n1,1=n2 -- {PROGRAM} {EXITS}", 180)
    return {name: int(ns) / 1000 for name, ns in re.findall(r"^(\w+(?: \d)?) (\d+)$", out, re.MULTILINE)}


def main(kernel="6.1"):
    build()
    with Testbed(hosts=2, kernel=kernel, cpus=1, mem="1G") as bed:
        cluster = Cluster(bed)
        cluster.up()
        runs = []
        for _ in range(ROUNDS):
            runs.append({**exits(bed.hosts[0]), "rtt": raw_round_trip(bed)})
            cluster.wait_vm_gone(bed.hosts[1])
        us = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        cluster.down()
    said = ", ".join(f"{name} {value:.0f} us" for name, value in us.items())
    figure("remote_pio_over_raw_rtt", us["pio 1"] / us["rtt"], said)
    figure("remote_ipi_over_raw_rtt", us["ipi"] / us["rtt"], "an interrupt that is answered by one; 2 x ib_send_lat -e")


main(*sys.argv[1:])
