# SPDX-License-Identifier: GPL-2.0-or-later
"""A spanning VM as a libvirt domain: stock libvirtd and QEMU, one domain over all hosts.

    scripts/testbed script selftests/testbed/virsh.py KERNEL [HOSTS] [reboot] [-v]

HOSTS: 2 (unless it says 3), with a vCPU on each.
reboot: only that, since a boot takes as long as all the rest, and how long a start takes beside a plain domain's.
"""

import sys
import time

from testbed.cluster import DVMM
from testbed.figures import figure
from testbed.libvirt import domain_xml, nothing_is_left, placement, scenario

UUID = "6d766d64-0000-4000-8000-000000000001"
HOSTS = next((int(word) for word in sys.argv[2:] if word.isdigit()), 2)
NODES = [f"n{n}" for n in range(1, HOSTS + 1)]
ONE_EACH = [1] * HOSTS
UP = rf"DVMM-GUEST: up {HOSTS} vCPUs"
READY = r"DVMM-GUEST: waits for its power button"


def refused(libvirt, xml, *words):
    """A start that fails with a sentence that has these words."""
    libvirt.define(xml)
    said = libvirt.refused("start web1")
    for word in words:
        assert word in said, f"{word!r} is not in {said!r}"
    assert libvirt.virsh("domstate web1").strip() == "shut off"
    libvirt.virsh("undefine web1")


def newcomer(libvirt):
    """What `dvmm vm xml` writes is a domain to libvirt."""
    libvirt.host.run("dvmm vm xml --name new --place 0=n1,1=n2 --disk /tmp/new.qcow2 --network default >/tmp/new.xml")
    libvirt.virsh("define /tmp/new.xml --validate")
    libvirt.virsh("undefine new")


def wrong_domains(libvirt, cluster, line):
    def domain(metadata, **options):
        return domain_xml("web1", UUID, HOSTS, line, metadata, **options)

    refused(libvirt, domain(placement(*ONE_EACH).replace("n2", "n9")), "n9: no such node")
    refused(libvirt, domain(placement(*ONE_EACH).replace("ids='1-1'", "ids='7'")),
            f"vCPU 7 is placed on n2, but the domain has {HOSTS}")
    refused(libvirt, domain(placement(*ONE_EACH).replace("dvmm:memory", "dvmm:mem")), "no part <mem>")
    refused(libvirt, domain(placement(*ONE_EACH), emulator="/usr/bin/qemu-system-x86_64"),
            "write <emulator>/usr/bin/dvmm-qemu</emulator>")
    refused(libvirt, domain(placement(*ONE_EACH)).replace("<ioapic driver='qemu'/>", ""), "<ioapic driver='qemu'/>")
    # The emulator of spanning VMs, but no placement: nothing else runs in its stead.
    refused(libvirt, domain(""), "has this domain a <dvmm:placement>")
    nothing_is_left(cluster)


def slice_that_cannot_start(libvirt, cluster, line):
    """The agent of the other node does not answer: the start says which node, and why."""
    other = cluster.bed.hosts[1]
    other.run("kill -STOP $(cat /run/dvmm-agent.pid)")
    refused(libvirt, domain_xml("web1", UUID, HOSTS, line, placement(*ONE_EACH, timeout=2)),
            "dvmm: web1: cannot start: no slice on node n2: it did not answer in time; does its agent run?")
    other.run("kill -CONT $(cat /run/dvmm-agent.pid)")
    nothing_is_left(cluster)


def plain_domain(libvirt, cluster, line):
    """A domain without metadata of ours starts as if we were not there, also without the agent."""
    xml = domain_xml("plain", UUID, 1, line, emulator="/usr/bin/qemu-system-x86_64", mem_mib=64)
    host = libvirt.host
    libvirt.define(xml)
    host.run("kill -STOP $(cat /run/dvmm-agent.pid)")
    libvirt.virsh("start plain")
    pid = host.run("cat /run/libvirt/qemu/plain.pid").strip()
    fds = host.run(f"ls -l /proc/{pid}/fd; tr '\\0' '\\n' </proc/{pid}/environ; grep dvmm /proc/{pid}/maps || true")
    assert "/dev/kvm" in fds and "dvmm" not in fds.lower(), fds
    libvirt.virsh("destroy plain")
    libvirt.virsh("undefine plain")
    host.run("kill -CONT $(cat /run/dvmm-agent.pid)")
    nothing_is_left(cluster)


def start(libvirt, cluster, line, show):
    libvirt.define(domain_xml("web1", UUID, HOSTS, line, placement(*ONE_EACH)))
    libvirt.virsh("start web1", 90)
    console = libvirt.console("web1", show)
    console.wait_line(UP, 400)
    places = [vcpu["node"] for vcpu in cluster.dvmm(libvirt.host, "vcpu list web1")]
    assert places == NODES, places
    there, = [vcpu for vcpu in cluster.dvmm(cluster.bed.hosts[1], "vcpu list web1") if vcpu["node"] == "n2"]
    assert there["exits"] > 0, there
    console.wait_line(READY, 120 * HOSTS)
    return console


def look(libvirt):
    """What a person asks, and what monitoring asks."""
    info = libvirt.virsh("dominfo web1")
    assert "running" in info and UUID in info, info
    assert libvirt.virsh("vcpuinfo web1").count("running") == HOSTS
    stats = libvirt.virsh("domstats web1")
    assert f"vcpu.current={HOSTS}" in stats and int(stats.split("vcpu.1.time=")[1].split()[0]) > 0, stats


def suspend(libvirt, cluster):
    """A suspended domain executes nothing on any node; then it goes on."""
    def exits():
        return [vcpu["exits"] for host in cluster.bed.hosts for vcpu in cluster.dvmm(host, "vcpu list web1")]

    libvirt.virsh("suspend web1")
    assert "paused" in libvirt.virsh("domstate web1")
    before = exits()
    libvirt.virsh("domstats web1")
    assert exits() == before, "a suspended vCPU runs"
    libvirt.virsh("resume web1")
    libvirt.wait_state("web1", "running")
    libvirt.host.run("timeout 60 sh -c 'until [ \"$(dvmm -o json vcpu list web1)\" != \"$1\" ]; do sleep 0.2; done' sh "
                     f"'{libvirt.host.run(f'{DVMM} -o json vcpu list web1').strip()}'", 80)


def shutdown(libvirt, cluster, console):
    libvirt.virsh("shutdown web1")
    console.wait_line("DVMM-GUEST: power button", 120)
    libvirt.wait_state("web1", "shut off", 120)
    nothing_is_left(cluster)


def reboot(libvirt, console):
    libvirt.virsh("reboot web1")
    console.wait_line("DVMM-GUEST: power button", 120)
    console.wait_line(UP, 400)
    console.wait_line(READY, 120 * HOSTS)


def destroy_and_start_again(libvirt):
    """At once, while the other nodes may still be at it."""
    libvirt.virsh("start web1", 90)
    libvirt.virsh("destroy web1", 60)
    libvirt.virsh("start web1", 90)


def lost_slice(libvirt, cluster):
    """The VM is dead: the domain has crashed, and an event says why."""
    cluster.bed.hosts[1].run("pkill -9 -x dvmm-slice")
    cluster.wait_event(libvirt.host, r"vm-dead.*web1.*node n?2")
    libvirt.wait_state("web1", "shut off", 60)
    said = libvirt.virsh("domstate --reason web1")
    assert said.strip() == "shut off (crashed)", said
    print(f"# {libvirt.host.run(f'{DVMM} event list | grep vm-dead').strip()}", flush=True)
    nothing_is_left(cluster)


def confined(libvirt, cluster):
    """libvirtd and the domain under Debian's AppArmor profiles; without the lines of setup it does not start."""
    host = libvirt.host
    libvirt.down()
    libvirt.up(apparmor=True)
    local = "/etc/apparmor.d/local/abstractions/libvirt-qemu"
    host.run(f"cp {local} /tmp/lines && : >{local}")
    assert "ermission denied" in libvirt.refused("start web1", 120)
    host.run(f"cp /tmp/lines {local}")
    libvirt.virsh("start web1", 120)
    profile = host.run("cat /proc/$(cat /run/libvirt/qemu/web1.pid)/attr/current")
    assert f"libvirt-{UUID} (enforce)" in profile, profile
    assert [vcpu["node"] for vcpu in cluster.dvmm(host, "vcpu list web1")] == NODES
    libvirt.virsh("destroy web1", 60)
    nothing_is_left(cluster)


def life(tap, libvirt, cluster, show):
    line = libvirt.guest_line(HOSTS, "button", hosts=HOSTS)
    with tap.case("xml_for_a_newcomer_is_a_domain"):
        newcomer(libvirt)
    with tap.case("wrong_metadata_is_refused_and_leaves_nothing"):
        wrong_domains(libvirt, cluster, line)
    with tap.case("slice_that_cannot_start_is_named"):
        slice_that_cannot_start(libvirt, cluster, line)
    with tap.case("plain_domain_is_not_touched"):
        plain_domain(libvirt, cluster, line)
    with tap.case(f"domain_starts_over_{HOSTS}_hosts"):
        console = start(libvirt, cluster, line, show)
    with tap.case("dominfo_vcpuinfo_domstats_answer"):
        look(libvirt)
    with tap.case("suspended_domain_stands_still_and_goes_on"):
        suspend(libvirt, cluster)
    with tap.case("domain_shuts_down"):
        shutdown(libvirt, cluster, console)
    with tap.case("destroyed_domain_starts_again_at_once"):
        destroy_and_start_again(libvirt)
    with tap.case("domain_whose_slice_is_killed_stops"):
        lost_slice(libvirt, cluster)
    with tap.case("domain_confined_by_apparmor_starts"):
        confined(libvirt, cluster)


def seconds_to_output(libvirt, xml):
    """From `virsh start` until the guest's first process speaks."""
    libvirt.define(xml)
    began = time.monotonic()
    libvirt.virsh("start web1", 90)
    libvirt.console("web1").wait_line("DVMM-GUEST: starts", 400)
    took = time.monotonic() - began
    libvirt.virsh("destroy web1", 60)
    return took


def start_beside_plain(libvirt, cluster, line):
    """The same domain with and without a placement, in turn: what spanning costs a start."""
    plain, spanning = [], []
    for _ in range(2):
        plain.append(seconds_to_output(libvirt, domain_xml("web1", UUID, HOSTS, line,
                                                           emulator="/usr/bin/qemu-system-x86_64")))
        spanning.append(seconds_to_output(libvirt, domain_xml("web1", UUID, HOSTS, line, placement(*ONE_EACH))))
        nothing_is_left(cluster)
    figure("virsh_start_over_plain", sum(spanning) / sum(plain),
           f"to the guest's first line: {spanning[0]:.1f} {spanning[1]:.1f} s, on one host {plain[0]:.1f} {plain[1]:.1f} s")


def reboots(tap, libvirt, cluster, show):
    line = libvirt.guest_line(HOSTS, "button", hosts=HOSTS)
    with tap.case("start_is_timed_beside_the_plain_domain"):
        start_beside_plain(libvirt, cluster, line)
    with tap.case(f"domain_starts_over_{HOSTS}_hosts"):
        console = start(libvirt, cluster, line, show)
    with tap.case("domain_reboots"):
        reboot(libvirt, console)
    with tap.case("domain_shuts_down"):
        shutdown(libvirt, cluster, console)


def main(kernel, *words):
    scenario(kernel, reboots if "reboot" in words else life, "-v" in words, hosts=HOSTS)


main(*sys.argv[1:])
