# SPDX-License-Identifier: GPL-2.0-or-later
"""A tiny spanning guest comes and goes, again and again: kernel memory of no host grows.

    scripts/testbed script selftests/testbed/cycles.py [KERNEL [CYCLES]]

The guest is the firmware alone: it starts both vCPUs, finds nothing to boot from, and is ended, by
turns politely and by SIGKILL. What a host then holds is compared with what it held after the first cycles.
"""

import sys

from testbed import Testbed
from testbed.cluster import DVMM, Cluster, place
from testbed.tap import Tap

QEMU = ("qemu-system-x86_64 -accel kvm -M q35 -nodefaults -no-user-config -display none -cpu host,migratable=off -smp 2 "
        "-m 64M -chardev stdio,id=console -device isa-debugcon,iobase=0x402,chardev=console")
WARM_UP = 20  # caches, per-CPU lists, the agent's events
LEAK = 4096  # bytes a cycle: one page or a few objects


def held(host):
    """Bytes that the kernel holds for itself, slab and whole pages alike."""
    text = host.run("sync; echo 3 >/proc/sys/vm/drop_caches; sleep 1; cat /proc/meminfo", 30)
    kib = {line.split(":")[0]: int(line.split()[1]) for line in text.splitlines() if ":" in line}
    return 1024 * (kib["MemTotal"] - sum(kib[word] for word in ("MemFree", "Buffers", "Cached", "AnonPages", "SReclaimable")))


def cycle(cluster, number, keep=False):
    host = cluster.bed.hosts[0]
    job = host.start(f"exec {DVMM} run --name cycle{number} --place {place(1, 1)} -- {QEMU}")
    job.wait_line("No bootable device", timeout=120)
    if keep:
        return
    host.run(f"pkill -{'KILL' if number % 2 else 'TERM'} -x qemu-system-x86")
    job.wait(60)
    for each in cluster.bed.hosts:
        cluster.wait_vm_gone(each)


def grown(cluster, cycles, first=0, keep=False):
    """Bytes a cycle, by host."""
    before = [held(host) for host in cluster.bed.hosts]
    for number in range(first, first + cycles):
        cycle(cluster, number, keep)
    after = [held(host) for host in cluster.bed.hosts]
    rates = [(late - early) / cycles for early, late in zip(before, after)]
    print(f"# {cycles} cycles: {', '.join(f'{rate:.0f}' for rate in rates)} bytes a cycle", flush=True)
    return rates


def main(kernel="6.1", cycles="200"):
    tap = Tap()
    with Testbed(hosts=2, kernel=kernel) as bed:
        cluster = Cluster(bed)
        cluster.up()
        for number in range(WARM_UP):
            cycle(cluster, number)
        with tap.case(f"{cycles}_cycles_leave_nothing ({kernel})"):
            rates = grown(cluster, int(cycles), WARM_UP)
            assert max(rates) < LEAK, f"kernel memory grows: {rates}"
        with tap.case("a_leak_would_show"):
            rates = grown(cluster, 2, 1000, keep=True)
            assert min(rates) > LEAK, f"two VMs that stay are not seen: {rates}"
            bed.hosts[0].run("pkill -KILL -x qemu-system-x86")
        with tap.case("modules_unload_and_nothing_is_left"):
            for host in bed.hosts:
                cluster.wait_vm_gone(host)
                assert not host.splats(), host.splats()
            cluster.down()
    tap.end()


main(*sys.argv[1:])
