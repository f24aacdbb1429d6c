# SPDX-License-Identifier: GPL-2.0-or-later
"""The packages on three hosts with a systemd (system.py) and Debian's corosync: quorum, what systemd starts again when
it was killed, a network that is cut 2 : 1, what the journal says of it, and how nodes leave and are purged.

    scripts/testbed script selftests/packages/quorum.py

Without packages and systemd: selftests/testbed/quorum.py; the times and refusals, without hosts: selftests/unit/quorum.
"""

import os
import re
import sys
import time

from testbed import Testbed, quorum
from testbed.cluster import Cluster
from testbed.quorum import all_in, cut, goes_on, info, is_stranger, quorate, until
from testbed.tap import Tap

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from system import (boot, debian, is_active, journal, make_cluster, prepare, process_of, purge,  # noqa: E402
                    unit_of, use_packages, wait_links)

KERNEL = "6.12"
# An agent that starts has so long to hear of quorum, on hosts that are slow.
FENCE_AFTER_MS = 6000
AGENT, COROSYNC = "dvmm-agent.service", "dvmm-corosync.service"
# What `systemd-analyze security` makes of them; more is worse, 10 the worst.
EXPOSURE = {AGENT: 8.6, COROSYNC: 9.2}
# Of systemd's messages about units (sd-messages.h).
STOPPING, STOPPED = "de5b426a63be47a7b6ac3eaac82e2f6f", "9d1aaa27d60140bd96365438aad20286"
STARTING, STARTED = "7d4958e842da4a758f6c1cdc7b36dcc5", "39f53479d3a045ac8e11786248231fbf"


def form(hosts):
    boot(*hosts)
    # What Debian's package brings, which has to go.
    for host in hosts:
        until("Debian's corosync runs", lambda host=host: is_active(host, "corosync"))
    make_cluster(hosts, lost_after_ms=quorum.LOST_AFTER_MS, fence_after_ms=FENCE_AFTER_MS)
    for host in hosts:
        wait_links(host, 2)


def switch_on(hosts):
    debian(hosts[0], "dvmm cluster set membership corosync")
    for host in hosts:
        until("it runs", lambda host=host: is_active(host, COROSYNC))
        assert not is_active(host, "corosync"), f"{host}: Debian's own runs"
        assert len(host.run("pgrep -x corosync").split()) == 1, host


def check_sandboxes(host):
    """What the units promise: as systemd sees it, and as it is."""
    for unit, limit in EXPOSURE.items():
        said = debian(host, f"systemd-analyze --no-pager security {unit}")
        found = re.search(r"Overall exposure level for .*: ([\d.]+) (\w+)", said)
        quorum.show(f"{unit}: exposure {found[1]} ({found[2]})")
        assert float(found[1]) <= limit, found[0]
    assert "NoNewPrivs:\t1" in debian(host, f"cat /proc/{process_of(host, AGENT)}/status")
    inside = "nsenter -t $(pgrep -o -x dvmm-agent) -m -r"
    for path in ("/usr", "/etc"):
        planted = host.start(f"{inside} touch {path}/planted")
        assert planted.wait(20) and "Read-only" in planted.errors, f"{path}: {planted.status}: {planted.errors}"
    assert host.run(f"{inside} stat -c %a /home") == "0\n"


# ---- who is killed is started again ----

def kill(host, unit):
    """Returns when another process of the unit is ready; how long that took, in s of the host."""
    before = unit_of(host, unit)
    began = float(debian(host, f"cut -d. -f1,2 /proc/uptime; kill -KILL {before['MainPID']}").split()[0])

    def is_back():
        now = unit_of(host, unit)
        return now["ActiveState"] == "active" and now["MainPID"] != before["MainPID"] and now
    now = until(f"{unit} runs again", is_back)
    assert int(now["NRestarts"]) > int(before["NRestarts"]), now
    return int(now["ActiveEnterTimestampMonotonic"]) / 1e6 - began


def corosync_is_killed(cluster, hosts, victim, major):
    began, epoch = time.monotonic(), info(cluster, victim)["epoch"]
    took = kill(victim, COROSYNC)
    until("a new ring", lambda: quorate(cluster, victim) and info(cluster, victim)["epoch"] != epoch)
    all_in(cluster, hosts)
    quorum.show(f"corosync runs again {took:.1f} s after it was killed, "
                f"quorum is back after {time.monotonic() - began:.1f} s")
    goes_on(cluster, major, hosts[0])


def agent_is_killed(cluster, hosts, victim, major):
    slices = host_slices(hosts)
    quorum.show(f"{victim}: the agent is ready {kill(victim, AGENT):.1f} s after it was killed")
    all_in(cluster, hosts)
    goes_on(cluster, major, hosts[0])
    # What it started for the VM ends, as there is one.
    until("slices are as before", lambda: host_slices(hosts) == slices)


def host_slices(hosts):
    return [host.run("pgrep -x dvmm-slice || true").split() for host in hosts]


# ---- the journal ----

def check_fields(host, wanted, *words):
    """The entries that are found by the words; each has these fields."""
    entries = journal(host, *words)
    assert entries, f"{host}: nothing is found by {words}"
    for entry in entries:
        wrong = {name: entry.get(name) for name, value in wanted.items() if entry.get(name) != value}
        assert not wrong, f"{host}: {words}: {wrong} in {entry}"
    return entries


def check_events(hosts):
    first, _, alone = hosts
    ours = {"_SYSTEMD_UNIT": AGENT, "SYSLOG_IDENTIFIER": "dvmm-agent"}
    fenced = check_fields(alone, {**ours, "DVMM_NODE": "n3", "DVMM_VM": "minor", "PRIORITY": "3"},
                          "DVMM_EVENT=vm-fenced")
    assert len(fenced) == 1 and re.match("vm-fenced: minor: it is ended: no quorum for", fenced[0]["MESSAGE"]), fenced
    check_fields(alone, {**ours, "DVMM_NODE": "n3"}, f"DVMM_VM_ID={fenced[0]['DVMM_VM_ID']}")
    check_fields(alone, {**ours, "DVMM_NODE": "n3", "PRIORITY": "3"}, "DVMM_EVENT=quorum-lost")
    for host in hosts:
        check_fields(host, {**ours, "DVMM_NODE": f"n{host.n}", "PRIORITY": "5"}, "DVMM_EVENT=quorum")
        check_fields(host, {"SYSLOG_IDENTIFIER": "corosync"}, f"_SYSTEMD_UNIT={COROSYNC}")
    check_fields(first, {**ours, "DVMM_NODE": "n1", "PRIORITY": "6"}, "DVMM_EVENT=link-up", "DVMM_PEER=n3")


OURS = re.compile("dvmm|corosync")
# What was done to them is an error to them; by node: n1 misses n3; the corosync of n2 is killed, and n2 is left alone
# when n1 is purged; n3 is cut off.
EXPLAINED = {
    1: ["dvmm-agent: link-lost: n3 ", "dvmm-agent: vm-dead: minor: "],
    2: ["dvmm-agent: quorum-lost: no quorum: (corosync does not answer|1 of [23] nodes: n2)$",
        "dvmm-agent: link-lost: n3 "],
    3: ["dvmm-agent: quorum-lost: no quorum: 1 of 3 nodes: n3$", "dvmm-agent: vm-fenced: minor: ",
        "dvmm-agent: vm-dead: minor: ", "dvmm-agent: link-lost: n[12] "],
}


def is_ours(entry):
    about = " ".join(str(entry.get(name, "")) for name in ("SYSLOG_IDENTIFIER", "_SYSTEMD_UNIT", "UNIT", "MESSAGE"))
    return OURS.search(about) and entry.get("_SYSTEMD_UNIT") != "corosync.service"


def check_no_other_errors(hosts):
    unexplained = []
    for host in hosts:
        errors = [f"{entry.get('SYSLOG_IDENTIFIER')}: {entry['MESSAGE']}"
                  for entry in filter(is_ours, journal(host, "-p err"))]
        quorum.show("\n".join(f"n{host.n}: {line}" for line in errors))
        unexplained += [f"n{host.n}: {line}" for line in errors
                        if not any(re.match(text, line) for text in EXPLAINED[host.n])]
    assert not unexplained, "\n".join(unexplained)


# ---- the end ----

def leaves(cluster, host, hosts):
    quorum.leave(cluster, host, hosts)
    for unit in (AGENT, COROSYNC):
        until(f"{unit} is stopped", lambda unit=unit: unit_of(host, unit)["ActiveState"] == "inactive")


def unit_log(host):
    """What systemd did with our units, as [unit, what]."""
    entries = journal(host, *(f"MESSAGE_ID={what}" for what in (STARTING, STARTED, STOPPING, STOPPED)))
    return [[entry["UNIT"], entry["MESSAGE_ID"]] for entry in entries if entry.get("UNIT") in (AGENT, COROSYNC)]


def is_purged(host, units):
    """First the agent, which would start corosync again."""
    purge(host)
    wanted = [[unit, what] for unit in units for what in (STOPPING, STOPPED)]
    assert not wanted or unit_log(host)[-len(wanted):] == wanted, unit_log(host)
    assert host.run("pgrep -x 'dvmm-agent|dvmm-slice|corosync' || true") == ""
    assert debian(host, "ls -d /var/lib/dvmm /etc/dvmm 2>/dev/null || true") == ""


def show_journals(hosts):
    for host in filter(lambda host: host.is_alive(), hosts):
        text = debian(host, f"journalctl -q --no-pager -n 60 -u {AGENT} -u {COROSYNC} || true")
        quorum.show("".join(f"host{host.n}: {line}\n" for line in text.splitlines()))


def main():
    tap = Tap()
    prepare(KERNEL)
    use_packages()
    with Testbed(hosts=3, kernel=KERNEL) as bed:
        cluster, hosts = Cluster(bed), bed.hosts
        first, second, alone = hosts
        with tap.case("packages_make_a_cluster_of_three_nodes"):
            form(hosts)
        with tap.case("membership_corosync_starts_a_unit_on_each"):
            switch_on(hosts)
        with tap.case("three_nodes_come_to_quorum"):
            all_in(cluster, hosts, 180)
            quorum.show(debian(first, "dvmm cluster info; dvmm cluster list"))
        if tap.failed:
            show_journals(hosts)
            tap.end()
        with tap.case("units_are_sandboxed"):
            check_sandboxes(first)
        with tap.case("corosync_that_is_killed_is_back_and_a_guest_does_not_notice"):
            major = cluster.start_guest(1, 1, name="major", **quorum.LOAD)
            major.wait(r"memcheck: \d+ vCPUs", timeout=400)
            corosync_is_killed(cluster, hosts, second, major)
        with tap.case("agent_that_is_killed_is_back_and_its_vm_goes_on"):
            for host in (second, first):
                agent_is_killed(cluster, hosts, host, major)
        with tap.case("minority_ends_its_guest_before_its_links_are_lost"):
            minor = quorum.start_running_minor(cluster, alone)
            quorum.minority_ends(cluster, hosts, alone, minor)
        with tap.case("majority_goes_on"):
            all_in(cluster, hosts[:2])
            until("n3 is no member any more", lambda: is_stranger(cluster, first, alone))
            goes_on(cluster, major, first)
        with tap.case("healed_network_is_one_quorum"):
            cut(hosts, alone, on=False)
            all_in(cluster, hosts)
            for host in hosts:
                wait_links(host, 2, 90)
            goes_on(cluster, major, first)
        with tap.case("journal_has_the_events_with_their_fields"):
            check_events(hosts)
        with tap.case("third_node_leaves_and_its_units_stop"):
            leaves(cluster, alone, hosts)
            goes_on(cluster, major, first)
        if tap.failed:
            show_journals(hosts)
        with tap.case("purge_stops_the_agent_then_corosync_and_leaves_nothing"):
            first.start("pkill -TERM -x qemu-system-x86").wait(20)
            for host in hosts[:2]:
                cluster.wait_vm_gone(host)
            for host in hosts:
                is_purged(host, [] if host is alone else [AGENT, COROSYNC])
        with tap.case("journal_has_no_error_that_is_not_explained"):
            check_no_other_errors(hosts)
        with tap.case("modules_unload"):
            cluster.down()
    tap.end()


if __name__ == "__main__":
    main()
