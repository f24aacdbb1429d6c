# SPDX-License-Identifier: GPL-2.0-or-later
"""Three hosts with corosync and a hardware watchdog (i6300esb): the agent of the one that is cut off hangs at the moment
at which quorum is lost, so that nothing ends its guest. The host is reset before the majority takes it for ended, and the
guest of the majority goes on. An agent that is restarted, or killed and started again, resets nothing.

    scripts/testbed script selftests/testbed/watchdog.py [KERNEL]

When it is fed, for all times: selftests/unit/feed; what is wrong with devices: selftests/unit/quorum.
"""

import sys
import time

from testbed import Testbed
from testbed.cluster import DVMM, Cluster
from testbed.quorum import LOAD, LOST_AFTER_MS, cut, goes_on, is_stranger, quorate, start_minor, until
from testbed.tap import Tap

FENCE_AFTER_MS = 10000
WITHIN, TIMEOUT, EPOCH = 13, 12, 14     # s after the loss: the reset (feed.c); of the device; what the others wait


def watchdog(cluster, host):
    """What the agent says, and the kernel."""
    return cluster.dvmm(host, "cluster info")["watchdog"], host.run("cat /sys/class/watchdog/watchdog0/state").strip()


def form(cluster, hosts):
    for host in hosts:
        host.run("modprobe i6300esb; mkdir -p /etc/dvmm; "
                 "printf '[agent]\\nwatchdog = /dev/watchdog0\\n' >/etc/dvmm/agent.conf")
    cluster.form(lost_after_ms=LOST_AFTER_MS)
    hosts[0].run(f"{DVMM} cluster set fence-after-ms {FENCE_AFTER_MS}")
    hosts[0].run(f"{DVMM} cluster set membership corosync")
    for host in hosts:
        until("quorum", lambda host=host: quorate(cluster, host))
        until("it is tried", lambda host=host: watchdog(cluster, host) == ("ready", "inactive"))
    row = [row for row in cluster.dvmm(hosts[0], "node check || true") if row["check"] == "watchdog"]
    print(f"# {row}", flush=True)
    assert row[0]["state"] == "ok" and f"{TIMEOUT} s" in row[0]["detail"], row


def start_guarded_minor(cluster, host):
    job = start_minor(host)
    until("the watchdog runs", lambda: watchdog(cluster, host) == ("running", "active"))
    assert host.run("cat /sys/class/watchdog/watchdog0/timeout").strip() == str(TIMEOUT)
    return job


def agent(host, signal):
    host.run(f"kill -{signal} $(cat /run/dvmm-agent.pid)")


def agent_again(cluster, host, signal, between):
    """Without systemd its links go, and its guest with them."""
    job = start_guarded_minor(cluster, host)
    agent(host, signal)
    host.run("timeout 20 sh -c 'while kill -0 $(cat /run/dvmm-agent.pid) 2>/dev/null; do sleep 0.1; done'")
    assert host.run("cat /sys/class/watchdog/watchdog0/state").strip() == between
    cluster.node_with_state_up(host, ("agent",))
    until("quorum", lambda: quorate(cluster, host))
    job.kill()
    cluster.wait_vm_gone(host)
    until("the watchdog is off", lambda: watchdog(cluster, host) == ("ready", "inactive"))
    cluster.wait_links(90)


def cut_off_host_is_reset(cluster, hosts, alone):
    start_guarded_minor(cluster, alone)
    alone.qmp("query-status")
    cut(hosts, alone)
    until("quorum is lost", lambda: not quorate(cluster, alone))
    lost = time.monotonic()
    agent(alone, "STOP")
    alone.wait_watchdog(WITHIN + 5)
    took = time.monotonic() - lost
    print(f"# reset {took:.1f} s after quorum was lost and the agent was stopped", flush=True)
    assert took < WITHIN, took
    assert not is_stranger(cluster, hosts[0], alone), "the majority did not wait"
    until("the majority goes on without it", lambda: is_stranger(cluster, hosts[0], alone))
    print(f"# no member any more {time.monotonic() - lost:.1f} s after that", flush=True)


def main(kernel="6.1"):
    tap = Tap()
    with Testbed(hosts=3, kernel=kernel, devices=["i6300esb"]) as bed:
        cluster, hosts = Cluster(bed), bed.hosts
        first, _, alone = hosts
        with tap.case(f"three_nodes_of_{kernel}_with_watchdogs_come_to_quorum"):
            form(cluster, hosts)
        with tap.case("agent_that_is_restarted_resets_nothing"):
            agent_again(cluster, alone, "TERM", "inactive")
        with tap.case("agent_that_is_killed_and_back_resets_nothing"):
            agent_again(cluster, alone, "KILL", "active")
        with tap.case("guest_of_the_majority_runs"):
            major = cluster.start_guest(1, 1, name="major", **LOAD)
            major.wait(r"memcheck: \d+ vCPUs", timeout=400)
        with tap.case("cut_off_host_whose_agent_hangs_is_reset_in_time"):
            cut_off_host_is_reset(cluster, hosts, alone)
        with tap.case("majority_goes_on"):
            goes_on(cluster, major, first)
            assert [watchdog(cluster, host)[0] for host in hosts[:2]] == ["running", "ready"]
        if tap.failed:
            for host in filter(lambda host: host.is_alive(), hosts):
                text = host.run(f"grep dvmm-agent: /out/agent.log | tail -n 30; {DVMM} event list | tail -20; true")
                print("".join(f"# host{host.n}: {line}\n" for line in text.splitlines()), end="", flush=True)
        with tap.case("modules_unload_and_nothing_is_left"):
            first.start("pkill -TERM -x qemu-system-x86").wait(20)
            for host in hosts[:2]:
                cluster.wait_vm_gone(host)
            cluster.down(hosts[:2])
    tap.end()


main(*sys.argv[1:])
