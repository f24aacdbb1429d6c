# SPDX-License-Identifier: GPL-2.0-or-later
"""vCPUs, disk, network card and memory are plugged into a spanning VM that runs: by virsh, into a
domain of stock libvirtd and QEMU, seen and used by the guest on both hosts.

    scripts/testbed script selftests/testbed/hotplug.py KERNEL [-v]

The domain starts with vCPU 0 on the first host alone. vCPU 1 has its place on the second; vCPU 2 has none.
The first DIMM has its home on the second host; the second is homed as the rest of the memory.
The guest takes in what comes and tries it, from its last vCPU if it can choose (selftests/guest/plugged).
"""

import sys

from testbed.libvirt import IMAGES, domain_xml, nothing_is_left, placement, scenario

UUID = "6d766d64-0000-4000-8000-000000000002"
READY = r"DVMM-GUEST: waits for its power button"
DIMM_MIB = 128  # what Linux takes in at once

DISK = f"""<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{IMAGES}/plugged.img'/>
<target dev='vda' bus='virtio'/></disk>"""
CARD = """<interface type='ethernet'><target dev='tap0' managed='no'/><model type='virtio'/></interface>"""
DIMM = f"""<memory model='dimm'><target><size unit='MiB'>{DIMM_MIB}</size><node>0</node></target></memory>"""

DIMM_PLACE = f"<dvmm:dimm size='{DIMM_MIB}M' node='n2'/>"


class Guest:
    """The running domain, as its console and the nodes tell of it."""

    def __init__(self, libvirt, cluster, console):
        self.libvirt, self.cluster, self.console = libvirt, cluster, console
        self.hosts = cluster.bed.hosts

    def wait_ok(self, name, timeout=400):
        """The guest says that it has and can use it."""
        self.console.wait_line(rf"DVMM-GUEST: {name} ok", timeout)

    def vcpus(self, is_there=True):
        """{id: node} of those that are there, or of those that have a place and are not."""
        return {vcpu["vcpu"]: vcpu["node"] for vcpu in self.cluster.dvmm(self.hosts[0], "vcpu list web1")
                if (vcpu["state"] != "placed") == is_there}

    def exits_there(self):
        """Of vCPUs that live on the second host."""
        return sum(vcpu["exits"] or 0 for vcpu in self.cluster.dvmm(self.hosts[1], "vcpu list web1"))

    def mems(self, host):
        return {mem["mem"]: mem for mem in self.cluster.dvmm(host, "mem list web1")}


def start(libvirt, cluster, show):
    line = libvirt.guest_line(1, "button", append="dvmm.plug=1 dvmm.ip=10.88.0.2 swiotlb=noforce")
    metadata = placement(1, 1, home="interleave").replace("</dvmm:placement>", f"{DIMM_PLACE}</dvmm:placement>")
    libvirt.define(domain_xml("web1", UUID, 3, line, metadata, at_start=1, slots=2, ports=3))
    libvirt.virsh("start web1", 90)
    guest = Guest(libvirt, cluster, libvirt.console("web1", show))
    guest.console.wait_line("DVMM-GUEST: up 1 vCPUs", 400)
    guest.console.wait_line(READY, 60)
    assert guest.vcpus() == {0: "n1"}, guest.vcpus()
    assert guest.vcpus(is_there=False) == {1: "n2"}
    return guest


def change_place(guest):
    """Of a vCPU that is still to come: by a drain, and back by hand."""
    guest.cluster.dvmm(guest.hosts[0], "node drain n2")
    assert guest.vcpus(is_there=False) == {1: "n1"}
    took = guest.cluster.dvmm(guest.hosts[0], "vcpu move web1:1 n2")
    assert (took["from"], took["node"], took["downtime_ns"]) == ("n1", "n2", 0), took
    assert guest.vcpus(is_there=False) == {1: "n2"}


def plug_vcpu(guest, vcpu, node):
    """It comes up on the node of its place, or at the origin."""
    before = guest.exits_there()
    guest.libvirt.virsh(f"setvcpus web1 {vcpu + 1} --live", 120)
    guest.wait_ok(f"cpu{vcpu}")
    assert guest.vcpus()[vcpu] == node, guest.vcpus()
    assert guest.exits_there() > before, "no vCPU runs on the second host"
    assert f"vcpu.current={vcpu + 1}" in guest.libvirt.virsh("domstats web1 --vcpu")


def plug_disk(guest):
    """Its doorbell rings from the other host."""
    guest.libvirt.host.run(f"truncate -s 16M {IMAGES}/plugged.img")
    before = guest.cluster.stats(guest.hosts[0], "web1")["eventfd_remote"]
    guest.libvirt.plug("web1", DISK)
    guest.wait_ok("vda")
    assert guest.cluster.stats(guest.hosts[0], "web1")["eventfd_remote"] > before, "no doorbell was rung from the second host"


def unplug_disk(guest):
    guest.libvirt.plug("web1", DISK, "detach-device")
    guest.console.wait_line("DVMM-GUEST: vda is gone", 200)
    guest.libvirt.host.run("timeout 60 sh -c 'while virsh -q domblklist web1 | grep -q vda; do sleep 0.2; done'", 80)


def plug_card(guest):
    """Served by vhost, a thread of the origin's kernel."""
    host = guest.libvirt.host
    host.run("modprobe -a tun vhost_net && ip tuntap add tap0 mode tap vnet_hdr &&"
             "ip address add 10.88.0.1/24 dev tap0 && ip link set tap0 up")
    peer = host.start("exec build/guest/netio -k serve")
    peer.wait_line("serving")
    guest.libvirt.plug("web1", CARD)
    guest.wait_ok("eth0")
    peer.kill()


def plug_memory(guest, homed_mib, pages):
    """A memory object more, so many MiB of it homed on each host, with so many pages at least on both."""
    before = [guest.mems(host) for host in guest.hosts]
    guest.libvirt.plug("web1", DIMM)
    guest.wait_ok(r"memory\d+")
    for host, old, mib in zip(guest.hosts, before, homed_mib):
        new, = [mem for number, mem in guest.mems(host).items() if number not in old]
        print(f"# {host}: {new}", flush=True)
        assert new["bytes"] == DIMM_MIB << 20 and new["homed_bytes"] == mib << 20, (new, mib)
        assert new["resident_pages"] >= pages, (new, pages)


def shut_down(guest):
    guest.libvirt.virsh("shutdown web1")
    guest.console.wait_line("DVMM-GUEST: power button", 120)
    guest.libvirt.wait_state("web1", "shut off", 120)
    nothing_is_left(guest.cluster)


def plug_all(tap, libvirt, cluster, show):
    with tap.case("domain_starts_with_one_of_its_vcpus"):
        guest = start(libvirt, cluster, show)
    if tap.failed:
        return
    with tap.case("place_of_a_vcpu_to_come_changes"):
        change_place(guest)
    with tap.case("vcpu_comes_up_where_its_place_is"):
        plug_vcpu(guest, 1, "n2")
    with tap.case("disk_is_used_from_the_other_host"):
        plug_disk(guest)
    with tap.case("network_card_is_used_from_both_hosts"):
        plug_card(guest)
    with tap.case("memory_is_homed_where_its_place_says"):
        plug_memory(guest, (0, DIMM_MIB), 250)
    with tap.case("memory_without_a_place_is_homed_in_turn"):
        # Linux takes pages of the first one as long as there are.
        plug_memory(guest, (DIMM_MIB // 2, DIMM_MIB // 2), 0)
    with tap.case("disk_is_taken_out"):
        unplug_disk(guest)
    with tap.case("vcpu_without_a_place_comes_up_at_the_origin"):
        plug_vcpu(guest, 2, "n1")
    with tap.case("domain_shuts_down"):
        shut_down(guest)


def main(kernel, *words):
    scenario(kernel, plug_all, "-v" in words)


main(*sys.argv[1:])
