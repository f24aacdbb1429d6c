# SPDX-License-Identifier: GPL-2.0-or-later
"""The packages on two hosts with a systemd (system.py): they make nodes of them, and are upgraded under a guest
that spans both, which does not notice.

    scripts/testbed script selftests/packages/upgrade.py
"""

import os
import sys

from testbed import Testbed, cluster
from testbed.tap import Tap

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from system import (NEXT, boot, debian, is_active, make_cluster, prepare, process_of, purge, use_packages,  # noqa: E402
                    wait_links)

KERNEL = "6.12"


def slice_of(host):
    return host.run("pgrep -x dvmm-slice").strip()


def upgrade(host, version):
    before = process_of(host, "dvmm-agent")
    debian(host, f"dpkg -i {NEXT}/*.deb", 240)
    assert debian(host, "dvmm --version").strip() == f"dvmm {version}"
    assert is_active(host, "dvmm-agent")
    assert process_of(host, "dvmm-agent") != before, f"{host}: the agent was not restarted"


def main():
    tap = Tap()
    next_version = prepare(KERNEL, also_next=True)
    use_packages()
    with Testbed(hosts=2, kernel=KERNEL) as bed:
        other = bed.hosts[1]
        with tap.case("packages_make_a_cluster_of_two_hosts"):
            boot(*bed.hosts)
            make_cluster(bed.hosts)
        with tap.case("links_come_up"):
            for host in bed.hosts:
                wait_links(host)
        if tap.failed:
            tap.end()
        nodes = cluster.Cluster(bed)
        with tap.case("guest_spans_the_hosts"):
            guest = nodes.start_guest(1, 1, name="web1", test="memcheck:-t:10,ipi", kernel="6.1")
            guest.wait(r"DVMM-GUEST: up 2 vCPUs")
            served_by = slice_of(other)
        with tap.case("agents_are_upgraded_under_the_guest"):
            for host in bed.hosts:
                upgrade(host, next_version)
            assert slice_of(other) == served_by
            assert "DVMM-GUEST: done" not in guest.output, "the guest had ended before"
        with tap.case("guest_did_not_notice"):
            guest.finish("memcheck", "ipi")
        with tap.case("nodes_are_as_before_the_upgrade"):
            for host in bed.hosts:
                wait_links(host)
                assert debian(host, "dvmm -o csv -H vm list") == ""
            for host in bed.hosts:
                purge(host)
        with tap.case("modules_unload"):
            nodes.down()
    tap.end()


if __name__ == "__main__":
    main()
