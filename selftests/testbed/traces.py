# SPDX-License-Identifier: GPL-2.0-or-later
"""Records the memory accesses of a guest on two hosts, its boot and its memory tests, and compares
what they cost with Ivy's protocol. The access traces are left in build/traces.

    scripts/testbed script selftests/testbed/traces.py [KERNEL]
"""

import sys

from testbed import Testbed, kernels, trace
from testbed.cluster import Cluster
from testbed.tap import Tap

UP = "DVMM-GUEST: up 2 vCPUs"


def recorded(cluster, name, test, until):
    """From the start of a guest that runs a test until it says something."""
    for host in cluster.bed.hosts:
        trace.begin(host)
    guest = cluster.start_guest(1, 1, name=name, test=test)
    guest.wait(until, 600)
    files = [trace.end(host) for host in cluster.bed.hosts]
    trace.compare(files, f"{kernels.TOP}/build/traces/{name}.trace")
    guest.finish(timeout=600)
    for host in cluster.bed.hosts:
        cluster.wait_vm_gone(host)


def main(kernel="6.1"):
    tap = Tap()
    with Testbed(hosts=2, kernel=kernel, cpus=1) as bed:
        cluster = Cluster(bed)
        cluster.up()
        for name, test, until in (("boot", "spin:-n:1", UP),
                                  ("memcheck", "memcheck:-t:5", "DVMM-GUEST: memcheck")):
            with tap.case(f"misses_of_{name}_wait_for_no_more_messages_than_ivys"):
                recorded(cluster, name, test, until)
        cluster.down()
    tap.end()


main(*sys.argv[1:])
