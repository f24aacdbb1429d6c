# SPDX-License-Identifier: GPL-2.0-or-later
"""A spanning VM as a libvirt domain: stock libvirtd and QEMU, one domain over two hosts.

    scripts/testbed script selftests/testbed/virsh.py KERNEL [-v]
"""

import sys

from testbed import Testbed
from testbed.cluster import Cluster
from testbed.libvirt import Libvirt, domain_xml, placement
from testbed.tap import Tap

UUID = "6d766d64-0000-4000-8000-000000000001"


def install(host):
    """What the packages will do, then the one explicit command."""
    host.run("make -s -o all -C agent install BUILD=$PWD/build/user", 120)
    host.run("printf '#!/bin/sh\\nexec /usr/lib/dvmm/dvmm-hook \"$@\"\\n' >/tmp/h; mkdir -p /etc/libvirt/hooks/qemu.d;"
             "install -m 755 /tmp/h /etc/libvirt/hooks/qemu.d/50-dvmm")


def main(kernel, *words):
    tap = Tap()
    with Testbed(hosts=2, kernel=kernel) as bed:
        cluster = Cluster(bed)
        origin = bed.hosts[0]
        libvirt = Libvirt(origin)
        with tap.case("libvirtd_runs_on_the_origin"):
            cluster.up()
            install(origin)
            libvirt.up()
            libvirt.put_guest()
        line = libvirt.guest_line(2, "halt")
        with tap.case("virsh_start"):
            libvirt.define(domain_xml("web1", UUID, 2, line, placement(1, 1)))
            libvirt.virsh("start web1", 90)
            print(origin.run("virsh list; build/user/dvmm vm list; build/user/dvmm vcpu list; ps aux | grep qemu-sys | head -3"))
            console = libvirt.console("web1")
            console.wait_line("DVMM-GUEST: up 2 vCPUs", 250)
            print(origin.run("build/user/dvmm vcpu list; ls -la /proc/$(pgrep -x qemu-system-x86)/fd; cat /proc/$(pgrep -x qemu-system-x86)/cgroup"))
            for w in ("dominfo web1", "vcpuinfo web1", "domstats web1"):
                print(libvirt.virsh(w))
        print(origin.run("cat /var/log/libvirt/qemu/web1.log; virsh list --all; dmesg | tail -20"))
        with tap.case("destroy"):
            libvirt.virsh("destroy web1", 90)
            for host in bed.hosts:
                cluster.wait_vm_gone(host)
        with tap.case("modules_unload_and_nothing_is_left"):
            libvirt.down()
            cluster.down()
    tap.end()


main(*sys.argv[1:])
