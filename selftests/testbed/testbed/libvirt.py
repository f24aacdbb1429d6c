# SPDX-License-Identifier: GPL-2.0-or-later
"""Stock libvirtd on a host of a testbed, and domains of the test guest."""

from xml.sax.saxutils import escape

from . import guest
from .host import LinePrinter

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

    def guest_line(self, cpus, then, append="", machine="q35"):
        """The guest's kernel command line; its clock as slow as other spanning guests' here."""
        khz = self.host.run("awk '/^cpu MHz/ { printf \"%d\", $4 * 1000; exit }' /proc/cpuinfo")
        return (f"{guest.APPEND} {guest.MACHINE_APPEND[machine]} maxcpus=1 rcupdate.rcu_cpu_stall_suppress=1 "
                f"dvmm.cpus={cpus} dvmm.then={then} {append} tsc_early_khz={int(khz) * guest.slowness()}")


def placement(*counts, home="origin", timeout=10):
    """placement(1, 1): vCPU 0 on n1, vCPU 1 on n2."""
    parts, first = [], 0
    for n, count in enumerate(counts, 1):
        parts.append(f"<dvmm:vcpu ids='{first}-{first + count - 1}' node='n{n}'/>")
        first += count
    return (f"<dvmm:placement xmlns:dvmm='{XMLNS}' timeout='{timeout}'>{''.join(parts)}"
            f"<dvmm:memory home='{home}'/></dvmm:placement>")


def domain_xml(name, uuid, cpus, line, metadata="", emulator="/usr/bin/dvmm-qemu", mem_mib=256):
    """The test guest as a domain."""
    return f"""<domain type='kvm'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <metadata>{metadata}</metadata>
  <memory unit='MiB'>{mem_mib}</memory>
  <vcpu>{cpus}</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{IMAGES}/vmlinuz</kernel>
    <initrd>{IMAGES}/initrd</initrd>
    <cmdline>{escape(line)}</cmdline>
  </os>
  <features><acpi/><apic/><ioapic driver='qemu'/></features>
  <cpu mode='host-passthrough' check='none' migratable='off'/>
  <on_reboot>restart</on_reboot>
  <devices>
    <emulator>{emulator}</emulator>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
    <serial type='pty'/>
    <console type='pty'/>
  </devices>
</domain>
"""


__all__ = ["Libvirt", "domain_xml", "placement"]
