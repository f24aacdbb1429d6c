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
# Bytes a cycle: a few objects, some pages of a guest. Bytes of a host, however many cycles: each CPU keeps pages.
LEAK, NOISE = {"slab": 4 << 10, "pages": 64 << 10}, {"slab": 512 << 10, "pages": 8 << 20}
MOST_LOOKS = 20
SEEN = 64 << 10  # bytes of slab: two VMs that stay hold more


def look(host):
    """{slab: bytes of objects, pages: bytes that the kernel holds for itself in any way}, {cache: bytes of its objects}."""
    text = host.run("sync; echo 3 >/proc/sys/vm/drop_caches; cat /proc/meminfo; awk '/count:/ { nr += $2 } "
                    "END { print \"OnLists: \" nr * 4 }' /proc/zoneinfo; echo; cat /proc/slabinfo || true", 60)
    meminfo, slabinfo = text.split("\n\n", 1)
    kib = {line.split(":")[0]: int(line.split()[1]) for line in meminfo.splitlines()}
    lines = [line.split() for line in slabinfo.splitlines()[2:]]
    not_held = sum(kib[word] for word in ("MemFree", "OnLists", "Buffers", "Cached", "AnonPages", "SReclaimable"))
    return ({"slab": 1024 * kib["SUnreclaim"], "pages": 1024 * (kib["MemTotal"] - not_held)},
            {words[0]: int(words[1]) * int(words[3]) for words in lines})


def held(host):
    """The least of some looks, until two say the same: what is freed by RCU goes a little later."""
    looks = [look(host), look(host)]
    while looks[-1][0]["slab"] != looks[-2][0]["slab"] and len(looks) < MOST_LOOKS:
        looks.append(look(host))
    return {kind: min(seen[0][kind] for seen in looks) for kind in LEAK}, looks[-1][1]


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
    """{slab, pages}: bytes that each host holds more than before."""
    hosts, began = cluster.bed.hosts, time.monotonic()
    before = [held(host) for host in hosts]
    for number in range(first, first + cycles):
        cycle(cluster, number, keep)
    after = [held(host) for host in hosts]
    more = {kind: [late[0][kind] - early[0][kind] for early, late in zip(before, after)] for kind in LEAK}
    print(f"# {cycles} cycles in {time.monotonic() - began:.0f} s: bytes more, by host: {more}", flush=True)
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
        with tap.case(f"{cycles}_cycles_leave_nothing ({kernel})"):
            more = grown(cluster, cycles, warm_up)
            for kind, bytes_more in more.items():
                assert bed.hosts[0].is_debug or max(bytes_more) < max(cycles * LEAK[kind], NOISE[kind]), \
                    f"kernel memory grows, {kind}: {bytes_more}"
        with tap.case("a_leak_would_show"):
            more = grown(cluster, 2, 1000, keep=True)
            assert min(more["slab"]) > SEEN, f"two VMs that stay are not seen: {more}"
        with tap.case("modules_unload_and_nothing_is_left"):
            bed.hosts[0].start("pkill -KILL -x qemu-system-x86").wait(20)
            for host in bed.hosts:
                cluster.wait_vm_gone(host)
                assert not host.splats(), host.splats()
            cluster.down()
    tap.end()


main(*sys.argv[1:])
