# SPDX-License-Identifier: GPL-2.0-or-later
"""The packages on two hosts with a systemd: they make nodes of them, and are upgraded under a guest
that spans both, which does not notice.

    scripts/testbed script selftests/packages/upgrade.py

Each host is an emulated one in which a Debian 12 with the packages (debian12.py) runs as a
container would: a process tree of its own with systemd at the top, on the host's devices.
QEMU is the host's.
"""

import os
import shutil
import sys

from testbed import Testbed, cluster
from testbed.tap import Tap

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from debian12 import ROOT, build, debs, fresh_work, inside, install, kernels, make_root, write  # noqa: E402

UP = f"""
mkdir -p /run/deb /deb
mount -t tmpfs tmpfs /run/deb
mkdir /run/deb/upper /run/deb/work
mount -t overlay -o lowerdir={ROOT},upperdir=/run/deb/upper,workdir=/run/deb/work overlay /deb
mount --rbind /dev /deb/dev
mount -t tmpfs -o mode=755 tmpfs /deb/run
mount --rbind /sys /deb/sys
mount -o remount,bind,ro /deb/sys
mount -t cgroup2 cgroup2 /deb/sys/fs/cgroup
"""
SYSTEMD = "unshare --pid --fork sh -c 'mount -t proc proc /deb/proc && " \
          "exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin " \
          "chroot /deb /lib/systemd/systemd --unit=multi-user.target --show-status=no'"
NEXT = "/root/next"
KERNEL = "6.12"


def prepare():
    """Both versions of the packages; the older one is installed, with modules for the kernel of the hosts."""
    fresh_work()
    version, folder = build()
    make_root()
    write("/etc/dkms/no-autoinstall", "")
    install(folder)
    release = next(release for release in kernels() if release.startswith(KERNEL))
    inside(f"dkms add dvmm/{version} && dkms install dvmm/{version} -k {release}")
    next_version, next_folder = build(version + "+next")
    os.makedirs(ROOT + NEXT)
    for deb in debs(next_folder, ["dvmm-agent", "dvmm-client"]):
        shutil.copy(deb, ROOT + NEXT)
    return next_version


ENTER = "nsenter -t $(pgrep -x systemd) -p chroot /deb"


def debian(host, command, timeout=60):
    """A command in the Debian of a host."""
    return host.run(f"{ENTER} sh -ec '{command}'", timeout)


def boot(host):
    # The hosts are copies of one; systemd makes them an id of their own.
    host.run(UP + "rm -f /deb/etc/machine-id")
    host.start(SYSTEMD)
    host.run(f"until {ENTER} systemctl is-system-running 2>&1 | grep -q 'running\\|degraded'; do sleep 0.5; done", 240)


def make_cluster(origin, other):
    """What Documentation/getting-started.md says."""
    for host in (origin, other):
        debian(host, "dvmm node setup", 120)
    debian(origin, f"dvmm cluster init --node n1 --address {origin.address}", 120)
    token = debian(origin, "dvmm -o name cluster token").strip()
    debian(other, f"dvmm cluster join {token} --node n2 --address {other.address}", 120)
    for host in (origin, other):
        assert debian(host, "systemctl is-active dvmm-agent").strip() == "active"


def wait_links(host):
    host.run("until chroot /deb dvmm -o csv -H link list | grep -q ,up,; do sleep 0.5; done", 60)


def agent_of(host):
    return debian(host, "systemctl show -P MainPID dvmm-agent").strip()


def slice_of(host):
    return host.run("pgrep -x dvmm-slice").strip()


def upgrade(host, version):
    before = agent_of(host)
    debian(host, f"dpkg -i {NEXT}/*.deb", 240)
    assert debian(host, "dvmm --version").strip() == f"dvmm {version}"
    assert debian(host, "systemctl is-active dvmm-agent").strip() == "active"
    assert agent_of(host) != before, f"{host}: the agent was not restarted"


def main():
    tap = Tap()
    next_version = prepare()
    cluster.DVMM = "/deb/usr/bin/dvmm -s /deb/run/dvmm/agent.sock"
    with Testbed(hosts=2, kernel=KERNEL) as bed:
        origin, other = bed.hosts
        with tap.case("packages_make_a_cluster_of_two_hosts"):
            for host in bed.hosts:
                boot(host)
            make_cluster(origin, other)
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
                debian(host, "dpkg --purge dvmm-agent dvmm-client")
        with tap.case("modules_unload"):
            nodes.down()
    tap.end()


if __name__ == "__main__":
    main()
