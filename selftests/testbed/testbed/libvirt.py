# SPDX-License-Identifier: GPL-2.0-or-later
"""Stock libvirtd on a host of a testbed, and domains of the test guest."""

import json
from xml.sax.saxutils import escape

from . import guest
from .bed import Testbed
from .cluster import DVMM, Cluster
from .host import LinePrinter
from .tap import Tap

IMAGES = "/var/lib/libvirt/images"
XMLNS = "https://dvmm.org/xmlns/domain/1.0"


class Libvirt:
    """libvirt = Libvirt(host); libvirt.up(); libvirt.virsh("list"); ...; libvirt.down()"""

    def __init__(self, host):
        self.host = host

    def up(self, apparmor=False):
        """As its service would: control groups, the log daemon, libvirtd with Debian's configuration.

        apparmor: confined by Debian's profiles, and the domains too.
        """
        self.host.run("mountpoint -q /sys/fs/cgroup || mount -t cgroup2 cgroup2 /sys/fs/cgroup")
        if apparmor:
            self.host.run("mount -t securityfs securityfs /sys/kernel/security; cd /etc/apparmor.d &&"
                          "apparmor_parser -r -W usr.sbin.libvirtd usr.lib.libvirt.virt-aa-helper", 120)
        self.host.run("rm -f /etc/libvirt/qemu/networks/autostart/*; virtlogd -d && libvirtd -d")
        self.host.run("timeout 60 sh -c 'until virsh version >/dev/null 2>&1; do sleep 0.2; done'; virsh version", 70)

    def down(self):
        self.host.run("for daemon in libvirtd virtlogd; do pid=$(cat /run/$daemon.pid); kill $pid;"
                      "timeout 30 sh -c \"while kill -0 $pid 2>/dev/null; do sleep 0.1; done\" || exit 1; done", 70)

    def virsh(self, words, timeout=60):
        return self.host.run(f"virsh -q {words}", timeout)

    def refused(self, words, timeout=60):
        """A virsh that must fail; returns what it says."""
        job = self.host.start(f"virsh -q {words}")
        if not job.wait(timeout):
            raise AssertionError(f"virsh {words} went well: {job.output}")
        return job.errors

    def define(self, xml):
        path = self.host.push("domain.xml", xml)
        self.virsh(f"define {path}")

    def plug(self, name, xml, verb="attach-device"):
        """Into the running domain, or out of it with detach-device."""
        self.virsh(f"{verb} {name} {self.host.push('device.xml', xml)} --live", 120)

    def wait_state(self, name, state, timeout=60):
        """Until `virsh domstate` says so."""
        self.host.run(f"timeout {timeout} sh -c 'until [ \"$(virsh -q domstate {name} | head -1)\" = \"{state}\" ]; "
                      "do sleep 0.2; done'", timeout + 20)

    def console(self, name, show=False):
        """Joins the console; the job's output is what the guest says from now on."""
        job = self.host.start(f"exec virsh console {name} --force", tty=True,
                              on_data=LinePrinter(f"{name} on {self.host}") if show else None)
        job.wait_line("Connected to domain")
        return job

    def put_guest(self, kernel="6.1"):
        """Kernel and initramfs where libvirt's QEMU may read them."""
        for path, name in zip(guest.build(kernel), ("vmlinuz", "initrd")):
            self.host.run(f"mkdir -p {IMAGES} && cp {path} {IMAGES}/{name} && chmod 644 {IMAGES}/{name}")

    def guest_line(self, cpus, then, append="", machine="q35", hosts=2):
        """The guest's kernel command line; its clock as slow as other spanning guests' here."""
        khz = self.host.run("awk '/^cpu MHz/ { printf \"%d\", $4 * 1000; exit }' /proc/cpuinfo")
        return (f"{guest.APPEND} {guest.MACHINE_APPEND[machine]} maxcpus=1 rcupdate.rcu_cpu_stall_suppress=1 "
                f"dvmm.cpus={cpus} dvmm.then={then} {append} tsc_early_khz={int(khz) * guest.slowness(hosts)}")


def placement(*counts, home="origin", timeout=10):
    """placement(1, 1): vCPU 0 on n1, vCPU 1 on n2."""
    parts, first = [], 0
    for n, count in enumerate(counts, 1):
        parts.append(f"<dvmm:vcpu ids='{first}-{first + count - 1}' node='n{n}'/>")
        first += count
    return (f"<dvmm:placement xmlns:dvmm='{XMLNS}' timeout='{timeout}'>{''.join(parts)}"
            f"<dvmm:memory home='{home}'/></dvmm:placement>")


def room_to_plug(cpus, at_start, mem_mib, slots, ports):
    """The parts of a domain that leave room for more: vCPUs, <maxMemory>, a NUMA cell as DIMMs want, PCI ports."""
    vcpu = f"<vcpu current='{at_start}'>{cpus}</vcpu>" if at_start else f"<vcpu>{cpus}</vcpu>"
    most = f"<maxMemory slots='{slots}' unit='MiB'>{4 * mem_mib}</maxMemory>" if slots else ""
    cell = (f"<numa><cell id='0' cpus='0-{cpus - 1}' memory='{mem_mib}' unit='MiB'/></numa>" if slots else "")
    root = "<controller type='pci' model='pcie-root'/>" if ports else ""
    return vcpu, most, cell, root + "<controller type='pci' model='pcie-root-port'/>" * ports


def domain_xml(name, uuid, cpus, line, metadata="", emulator="/usr/bin/dvmm-qemu", mem_mib=256, at_start=None,
               slots=0, ports=0):
    """The test guest as a domain. at_start: so many of its vCPUs are there from the start; slots: for DIMMs;
    ports: for PCI devices plugged in later.
    """
    vcpu, most, cell, controllers = room_to_plug(cpus, at_start, mem_mib, slots, ports)
    return f"""<domain type='kvm'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <metadata>{metadata}</metadata>
  {most}
  <memory unit='MiB'>{mem_mib}</memory>
  {vcpu}
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{IMAGES}/vmlinuz</kernel>
    <initrd>{IMAGES}/initrd</initrd>
    <cmdline>{escape(line)}</cmdline>
  </os>
  <features><acpi/><apic/><ioapic driver='qemu'/></features>
  <cpu mode='host-passthrough' check='none' migratable='off'>{cell}</cpu>
  <on_reboot>restart</on_reboot>
  <devices>
    <emulator>{emulator}</emulator>
    <controller type='usb' model='none'/>
    {controllers}
    <memballoon model='none'/>
    <serial type='pty'/>
    <console type='pty'/>
  </devices>
</domain>
"""


def set_up(cluster, libvirt):
    """What the packages do on each node, then the one command on the origin; then the check is content."""
    cluster.up()
    origin = libvirt.host
    # The objects are there; this host cannot tell how old they are.
    origin.run("make -s -o all -C agent install BUILD=$PWD/build/user", 120)
    said = origin.run("dvmm node setup --dry-run")
    assert "would write /etc/libvirt/hooks/qemu.d/50-dvmm" in said, said
    assert origin.start("dvmm node check").wait(60) == 1, "the check misses no hook"
    origin.run("dvmm node setup")
    libvirt.up()
    libvirt.put_guest()
    rows = json.loads(origin.start("dvmm -o json node check").check(60))
    assert not [row for row in rows if row["state"] == "missing"], rows


def nothing_is_left(cluster):
    """No VM on any node, no slice, no QEMU."""
    for host in cluster.bed.hosts:
        cluster.wait_vm_gone(host)
        host.run("timeout 20 sh -c 'while pgrep -x \"dvmm-slice|qemu-system-x86\"; do sleep 0.2; done'", 30)
        assert not host.splats(), host.splats()


def tear_down(cluster, libvirt):
    """set_up() undone."""
    libvirt.host.run("dvmm node setup --undo")
    left = libvirt.host.run("grep -rl dvmm /etc/libvirt/hooks /etc/udev /etc/modules-load.d /etc/apparmor.d || true")
    assert not left, left
    libvirt.virsh("undefine web1")
    libvirt.down()
    cluster.down()


def explain(libvirt):
    """For who reads a failure."""
    for command in ("dmesg | grep -i -E 'apparmor=.DENIED|dvmm' | tail -30", "tail -n 60 /var/log/libvirt/qemu/web1.log",
                    f"{DVMM} event list | tail -20", "virsh list --all"):
        print("".join(f"# {line}\n" for line in libvirt.host.run(f"{command} || true").splitlines()), end="", flush=True)


def scenario(kernel, cases, *args, hosts=2):
    """Some hosts, the first of them set up for libvirt; cases(tap, libvirt, cluster, *args); all of it undone."""
    tap = Tap()
    with Testbed(hosts=hosts, kernel=kernel) as bed:
        cluster, libvirt = Cluster(bed), Libvirt(bed.hosts[0])
        with tap.case(f"origin_of_{kernel}_is_set_up_for_libvirt"):
            set_up(cluster, libvirt)
        cases(tap, libvirt, cluster, *args)
        if tap.failed:
            explain(libvirt)
        with tap.case("setup_is_undone_and_modules_unload"):
            tear_down(cluster, libvirt)
    tap.end()


__all__ = ["Libvirt", "domain_xml", "nothing_is_left", "placement", "scenario"]
