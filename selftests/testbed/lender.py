# SPDX-License-Identifier: GPL-2.0-or-later
"""A host that lends a guest its memory dies: lender.py KERNEL [-v]. The guest has all vCPUs on the other host.

What only the dead host held is lost, and the VM ends when it touches that; otherwise it goes on.
"""

import re
import sys

from testbed import Testbed, guest as test_guest
from testbed.cluster import Cluster
from testbed.tap import Tap

LASTS = 60  # seconds of load: a node is lost when it was silent for 10
TEST = f"memcheck:-t:{LASTS / test_guest.slowness():g}:-n:100000000:-k:atomics+ping-pong"
ENDED = r"^DVMM-GUEST: memcheck (ok|FAIL)"


def start_and_kill(cluster, name, home, test, show):
    guest = cluster.start_guest(2, name=name, memory="n2", home=home, test=test, show=show)
    guest.wait(r"memcheck: \d+ vCPUs")
    cluster.bed.hosts[1].kill()
    return guest


def assert_works(guest):
    assert guest.job.status is None and not re.search(ENDED, guest.output, re.MULTILINE), \
        f"the load has ended too early to say anything:\n{guest.output[-2000:]}"


def goes_on(cluster, show):
    """All homes are at the origin, and the lender was given nothing."""
    guest = start_and_kill(cluster, "goes-on", "origin", TEST, show)
    cluster.wait_event(guest.host, r"vm-node-lost.*node 2", timeout=90)
    assert_works(guest)
    guest.finish("memcheck")


def ends_with_the_page(cluster, show):
    """Half of the memory had its home at the lender: whether it was touched, nobody knows any more."""
    guest = start_and_kill(cluster, "ends", "interleave", TEST + ",touchall:-n:100000000", show)
    event = cluster.wait_event(guest.host, r"vm-dead.*page \d+ of memory object \d+ was lost with node 2, "
                                           r"guest address 0x[0-9a-f]+", timeout=120)
    print("#", event[0], flush=True)
    assert guest.job.wait(60) != 0, "dvmm run says that all went well"
    cluster.wait_vm_gone(guest.host)


def main(kernel, *words):
    tap = Tap()
    with Testbed(hosts=2, kernel=kernel) as bed:
        cluster = Cluster(bed)
        cluster.up()
        with tap.case(f"guest_goes_on_without_its_lender ({kernel})"):
            goes_on(cluster, "-v" in words)
        with tap.case(f"lost_page_ends_the_vm_with_its_guest_address ({kernel})"):
            cluster.come_back(bed.hosts[1])
            ends_with_the_page(cluster, "-v" in words)
        with tap.case(f"survivor_unloads_cleanly ({kernel})"):
            cluster.down()
    tap.end()


main(*sys.argv[1:])
