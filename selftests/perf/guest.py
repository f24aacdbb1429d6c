# SPDX-License-Identifier: GPL-2.0-or-later
"""The test guest on two hosts beside the same guest on the plain KVM of one: guest.py [kernel].

Each host has one CPU, so two vCPUs on one host share it.
"""

import sys
import time

from testbed import Testbed, guest
from testbed.cluster import BOOT_ALONE, Cluster, SpanningGuest
from testbed.figures import figure

STEPS = 10000   # million a vCPU: long beside the start of threads and processes
KINDS = ("processes", "threads")


def run(start):
    """Seconds to the guest's first word, and its cycles of computing by each kind."""
    began = time.monotonic()
    running = start()
    running.wait("DVMM-GUEST: up 2 vCPUs", 400)
    boot = time.monotonic() - began
    cycles = {kind: int(running.wait(rf"spin: {kind}: 2 vCPUs.*: (\d+) cycles", 400)[1]) for kind in KINDS}
    running.finish("spin")
    return boot, cycles


def main(kernel="6.1"):
    test = f"spin:-n:{STEPS}"
    with Testbed(hosts=2, kernel=kernel, cpus=1) as bed:
        here = bed.hosts[0]
        command = guest.qemu(cpus=2, test=test, append=BOOT_ALONE, slow=guest.slowness())
        alone = run(lambda: SpanningGuest(None, here, here.start(command)))
        cluster = Cluster(bed)
        cluster.up()
        both = run(lambda: cluster.start_guest(1, 1, test=test))
        cluster.wait_vm_gone(bed.hosts[1])
        cluster.down()
    figure("spanning_boot_over_single", both[0] / alone[0], f"start to user space with 2 vCPUs: {both[0]:.0f} s, {alone[0]:.0f} s on one host")
    for kind, name in zip(KINDS, ("compute_two_hosts_over_one", "compute_threads_two_hosts_over_one")):
        figure(name, alone[1][kind] / both[1][kind], f"throughput of {STEPS} million steps on each of 2 vCPUs, by {kind}")


main(*sys.argv[1:])
