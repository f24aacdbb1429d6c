# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's memory checkers find a planted stale page: else they check nothing.

    scripts/testbed script selftests/testbed/stale.py [KERNEL [PROGRAM...]]

PROGRAM: memcheck (default), litmus, which may miss the page in the time it has.
Wants modules made with DSM_BUG=skip_zap in build/bug.
"""

import sys

from testbed import Testbed, kernels
from testbed.cluster import Cluster
from testbed.tap import Tap

TESTS = {"memcheck": "memcheck:-k:message-passing:-t:4:-n:1000000", "litmus": "litmus:-k:MP:-t:6"}
PAGES = {"memcheck": r"message-passing: data in page (\d+)", "litmus": r"first cells are in page (\d+)"}


def plant(bed, page):
    for host in bed.hosts:
        host.run(f"echo {page} > /sys/module/dvmm_dsm/parameters/bug_page")


def finds_stale_page(cluster, guest, program):
    page = guest.wait(PAGES[program], timeout=400)[1]
    assert int(page), "the guest does not say which page it uses"
    plant(cluster.bed, page)
    print("#", guest.wait(rf"{program}: VIOLATION: .*", timeout=400)[0])
    guest.wait(f"DVMM-GUEST: {program} FAIL", timeout=400)


def main(kernel="6.1", *programs):
    tap = Tap()
    programs = programs or ["memcheck"]
    release = kernels.find(kernel)
    with Testbed(hosts=2, kernel=kernel, modules=f"{kernels.TOP}/build/bug/{release}") as bed:
        cluster = Cluster(bed)
        with tap.case(f"nodes_of_{kernel}_link_up"):
            cluster.up()
        guest = cluster.start_guest(1, 1, name="stale", test=",".join(TESTS[name] for name in programs))
        for program in programs:
            with tap.case(f"{program}_finds_a_stale_page_of_{kernel}"):
                finds_stale_page(cluster, guest, program)
        guest.host.run("pkill -KILL -x qemu-system-x86 || true")  # it may have ended
        for host in bed.hosts:
            cluster.wait_vm_gone(host)
        with tap.case("modules_unload_and_nothing_is_left"):
            cluster.down()
    tap.end()


main(*sys.argv[1:])
