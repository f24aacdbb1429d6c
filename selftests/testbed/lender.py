# SPDX-License-Identifier: GPL-2.0-or-later
"""A host that lends a guest its memory dies: lender.py KERNEL. The guest has all vCPUs on the other host.

What only the dead host held is lost, and the VM ends when it touches that; otherwise it goes on.
"""

import sys

from testbed import Testbed
from testbed.cluster import Cluster
from testbed.tap import Tap

TEST = "memcheck:-t:20:-k:atomics+ping-pong"


def start_and_kill(cluster, name, home, test):
    guest = cluster.start_guest(2, name=name, memory="n2", home=home, test=test)
    guest.wait("DVMM-GUEST: up 2 vCPUs")
    cluster.bed.hosts[1].kill()
    return guest


def goes_on(cluster):
    """All homes are at the origin, and the lender was given nothing."""
    guest = start_and_kill(cluster, "goes-on", "origin", TEST)
    cluster.wait_event(guest.host, r"vm-node-lost.*node 2", timeout=90)
    guest.finish("memcheck")


def ends_with_the_page(cluster):
    """Half of the memory had its home at the lender: whether it was touched, nobody knows any more."""
    guest = start_and_kill(cluster, "ends", "interleave", TEST + ",touchall")
    event = cluster.wait_event(guest.host, r"vm-dead.*page \d+ of memory object \d+ was lost with node 2, "
                                           r"guest address 0x[0-9a-f]+", timeout=120)
    print("#", event[0], flush=True)
    assert guest.job.wait(60) != 0, "dvmm run says that all went well"
    cluster.wait_vm_gone(guest.host)


def main(kernel):
    tap = Tap()
    with Testbed(hosts=2, kernel=kernel) as bed:
        cluster = Cluster(bed)
        cluster.up()
        with tap.case(f"guest_goes_on_without_its_lender ({kernel})"):
            goes_on(cluster)
        with tap.case(f"lost_page_ends_the_vm_with_its_guest_address ({kernel})"):
            cluster.come_back(bed.hosts[1])
            ends_with_the_page(cluster)
        with tap.case(f"survivor_unloads_cleanly ({kernel})"):
            cluster.down()
    tap.end()


main(*sys.argv[1:])
