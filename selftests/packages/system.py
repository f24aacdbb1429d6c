# SPDX-License-Identifier: GPL-2.0-or-later
"""A Debian 12 with systemd and the packages (debian12.py) on an emulated host: it runs there as a container would, a
process tree of its own with systemd at the top, on the host's devices and network. QEMU is the host's, among the
processes of the Debian, so that its agent sees it.
"""

import json
import os
import shutil
import sys

from testbed import cluster

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
AMONG = "nsenter -t $(pgrep -x systemd) -p"
ENTER = f"{AMONG} chroot /deb"
NEXT = "/root/next"


def prepare(kernel, also_next=False):
    """Packages, installed with modules for the kernel of the hosts. Returns their version; or that of newer ones, which
    lie in NEXT.
    """
    fresh_work()
    version, folder = build()
    make_root()
    write("/etc/dkms/no-autoinstall", "")
    install(folder)
    release = next(release for release in kernels() if release.startswith(kernel))
    inside(f"dkms add dvmm/{version} && dkms install dvmm/{version} -k {release}")
    if not also_next:
        return version
    next_version, next_folder = build(version + "+next")
    os.makedirs(ROOT + NEXT)
    for deb in debs(next_folder, ["dvmm-agent", "dvmm-client"]):
        shutil.copy(deb, ROOT + NEXT)
    return next_version


def use_packages():
    """From now on what testbed.cluster runs is the packages'."""
    cluster.DVMM = f"{AMONG} /deb/usr/bin/dvmm -s /deb/run/dvmm/agent.sock"


def debian(host, command, timeout=60):
    """A command, without ', in the Debian of a host."""
    return host.run(f"{ENTER} sh -ec '{command}'", timeout)


def start(host):
    # The hosts are copies of one. Without an id systemd takes it for a first boot, and enables all services.
    host.run(UP + "tr -d - </proc/sys/kernel/random/uuid >/deb/etc/machine-id")
    host.start(SYSTEMD)


def boot(*hosts):
    for host in hosts:
        start(host)
    for host in hosts:
        host.run(f"until {ENTER} systemctl is-system-running 2>&1 | grep -q 'running\\|degraded'; do sleep 0.5; done",
                 240)


def unit_of(host, unit):
    """What systemd knows of it, by property; numbers as text."""
    said = debian(host, f"systemctl show -p ActiveState,ActiveEnterTimestampMonotonic,MainPID,NRestarts {unit}")
    return dict(line.split("=", 1) for line in said.splitlines())


def is_active(host, unit):
    return unit_of(host, unit)["ActiveState"] == "active"


def process_of(host, unit):
    """Its number among those of the Debian; 0: none."""
    return int(unit_of(host, unit)["MainPID"])


def make_cluster(hosts, **settings):
    """What Documentation/getting-started.md says, with settings before others join."""
    origin, *others = hosts
    for job in [host.start(f"{ENTER} dvmm node setup") for host in hosts]:
        job.check(120)
    debian(origin, f"dvmm cluster init --node n{origin.n} --address {origin.address}", 120)
    for name, value in settings.items():
        debian(origin, f"dvmm cluster set {name.replace('_', '-')} {value}")
    for host in others:
        token = debian(origin, "dvmm -o name cluster token").strip()
        debian(host, f"dvmm cluster join {token} --node n{host.n} --address {host.address}", 120)
    for host in hosts:
        assert is_active(host, "dvmm-agent"), host


def wait_links(host, nr=1, timeout=60):
    """So many are up."""
    host.run(f"until [ $(chroot /deb dvmm -o csv -H link list | grep -c ,up,) = {nr} ]; do sleep 0.5; done", timeout)


def journal(host, *words):
    """What it has, each entry as Python data."""
    return [json.loads(line) for line in debian(host, f"journalctl -q -o json {' '.join(words)}").splitlines()]


def purge(host):
    debian(host, "dpkg --purge dvmm-agent dvmm-client", 120)
