# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's memory checker finds a planted stale page: else it checks nothing.

    scripts/testbed script selftests/testbed/stale.py [KERNEL]

Wants modules made with DSM_BUG=skip_zap in build/bug.
"""

import sys

from testbed import Testbed, kernels
from testbed.cluster import Cluster
from testbed.tap import Tap

TEST = "memcheck:-k:message-passing:-t:4:-n:1000000"


def plant(bed, page):
    for host in bed.hosts:
        host.run(f"echo {page} > /sys/module/dvmm_dsm/parameters/bug_page")


def finds_stale_page(cluster):
    guest = cluster.start_guest(1, 1, name="stale", test=TEST)
    page = guest.wait(r"message-passing: data in page (\d+)")[1]
    assert int(page), "the guest does not say which page it uses"
    plant(cluster.bed, page)
    print("#", guest.wait(r"memcheck: VIOLATION: .*", timeout=400)[0])
    guest.wait("DVMM-GUEST: memcheck FAIL", timeout=400)
    guest.host.run("pkill -KILL -x qemu-system-x86")
    for host in cluster.bed.hosts:
        cluster.wait_vm_gone(host)


def main(kernel="6.1"):
    tap = Tap()
    release = kernels.find(kernel)
    with Testbed(hosts=2, kernel=kernel, modules=f"{kernels.TOP}/build/bug/{release}") as bed:
        cluster = Cluster(bed)
        with tap.case(f"guest_finds_a_stale_page_of_{kernel}"):
            cluster.up()
            finds_stale_page(cluster)
        with tap.case("modules_unload_and_nothing_is_left"):
            cluster.down()
    tap.end()


main(*sys.argv[1:])
