# SPDX-License-Identifier: GPL-2.0-or-later
"""A tiny spanning guest comes and goes, again and again: kernel memory of no host grows.

    scripts/testbed script selftests/testbed/cycles.py [KERNEL [CYCLES]]

The guest is the firmware alone: it starts both vCPUs, finds nothing to boot from, and is ended, by
turns politely and by SIGKILL. What a host then holds is compared with what it held after the first cycles;
which of its slab caches have grown most is said. A debug kernel keeps what was freed for a while: there
kmemleak has the last word.
"""

import sys
import time

from testbed import Testbed
from testbed.cluster import DVMM, Cluster, place
from testbed.tap import Tap

QEMU = ("qemu-system-x86_64 -accel kvm -M q35,kernel-irqchip=split -nodefaults -no-user-config -display none "
        "-cpu host,migratable=off -smp 2 -m 64M -chardev stdio,id=console -device isa-debugcon,iobase=0x402,chardev=console")
WARM_UP = 20  # at most: caches, per-CPU lists, the agent's events
LEAK = 4096  # bytes a cycle: one page or a few objects
NOISE = 512 << 10  # bytes of a host, however many cycles
SEEN = 64 << 10  # bytes: two VMs that stay hold more


def look(host):
    """Bytes that the kernel holds for itself, slab and whole pages alike, and {cache: bytes of its objects}."""
    text = host.run("sync; echo 3 >/proc/sys/vm/drop_caches; cat /proc/meminfo; echo; cat /proc/slabinfo || true", 60)
    meminfo, slabinfo = text.split("\n\n", 1)
    kib = {line.split(":")[0]: int(line.split()[1]) for line in meminfo.splitlines()}
    lines = [line.split() for line in slabinfo.splitlines()[2:]]
    bytes_held = kib["MemTotal"] - sum(kib[word] for word in ("MemFree", "Buffers", "Cached", "AnonPages", "SReclaimable"))
    return 1024 * bytes_held, {words[0]: int(words[1]) * int(words[3]) for words in lines}


def held(host):
    """The least of some looks: what is freed by RCU goes a little later."""
    looks = []
    for _ in range(4):
        looks.append(look(host))
        time.sleep(1)
    return min(looks, key=lambda seen: seen[0])


def say_slabs(host, before, after):
    grown_most = sorted(((after[name] - before.get(name, 0), name) for name in after), reverse=True)[:5]
    print(f"# {host}: slab caches that have grown most, bytes: "
          + ", ".join(f"{name} {size}" for size, name in grown_most if size > 0), flush=True)


def cycle(cluster, number, keep=False):
    host = cluster.bed.hosts[0]
    job = host.start(f"exec {DVMM} run --name cycle{number} --place {place(1, 1)} -- {QEMU}")
    job.wait_line(r"Found 2 cpu\(s\)", timeout=120)
    job.wait_line("No bootable device", timeout=120)
    if keep:
        return
    host.run(f"pkill -{'KILL' if number % 2 else 'TERM'} -x qemu-system-x86")
    job.wait(60)
    for each in cluster.bed.hosts:
        cluster.wait_vm_gone(each)


def grown(cluster, cycles, first=0, keep=False):
    """Bytes that each host holds more than before."""
    hosts, began = cluster.bed.hosts, time.monotonic()
    before = [held(host) for host in hosts]
    for number in range(first, first + cycles):
        cycle(cluster, number, keep)
    after = [held(host) for host in hosts]
    more = [late[0] - early[0] for early, late in zip(before, after)]
    print(f"# {cycles} cycles in {time.monotonic() - began:.0f} s: {', '.join(map(str, more))} bytes more", flush=True)
    for host, early, late in zip(hosts, before, after):
        say_slabs(host, early[1], late[1])
    return more


def main(kernel="6.1", cycles="200"):
    tap, cycles = Tap(), int(cycles)
    with Testbed(hosts=2, kernel=kernel) as bed:
        cluster, warm_up = Cluster(bed), min(WARM_UP, cycles)
        with tap.case(f"two_nodes_of_{kernel}_link_up"):
            cluster.up()
        with tap.case("tiny_guest_comes_and_goes"):
            for number in range(warm_up):
                cycle(cluster, number)
        most = max(cycles * LEAK, NOISE)
        with tap.case(f"{cycles}_cycles_leave_nothing ({kernel})"):
            more = grown(cluster, cycles, warm_up)
            assert bed.hosts[0].is_debug or max(more) < most, f"kernel memory grows: {more}"
        with tap.case("a_leak_would_show"):
            more = grown(cluster, 2, 1000, keep=True)
            assert min(more) > SEEN, f"two VMs that stay are not seen: {more}"
        with tap.case("modules_unload_and_nothing_is_left"):
            bed.hosts[0].start("pkill -KILL -x qemu-system-x86").wait(20)
            for host in bed.hosts:
                cluster.wait_vm_gone(host)
                assert not host.splats(), host.splats()
            cluster.down()
    tap.end()


main(*sys.argv[1:])
