# SPDX-License-Identifier: GPL-2.0-or-later
"""What a vCPU does while it waits for pages of another host: overlap.py [kernel].

    scripts/testbed script selftests/testbed/overlap.py 6.1

One guest over two hosts; selftests/guest/overlap.c says what is measured. The guest takes part in
KVM's asynchronous page faults or not (no-kvmapf). A fault of a vCPU is waited for 8 round trips
first (as it is by default), goes on without it at once (async_after=0), or meets answers that
come later than 8 round trips.
"""

import re
import statistics
import sys

from testbed import Testbed
from testbed.cluster import Cluster
from testbed.tap import Tap

ROUNDS = 3  # of each kind and way; the first is not counted
LATE_US = 5000  # one way; the link remembers its shortest round trip
KINDS = ((1, 0), (2, 0), (1, 1))
LINE = r"overlap: {} readers (\d) counts (\d): (\d+) us for a page, counted (\d+) %, told (\d+) times"


def set_async_after(cluster, round_trips):
    for host in cluster.bed.hosts:
        host.run(f"echo {round_trips} >/sys/module/dvmm_dsm/parameters/async_after")


def stats(cluster, host):
    return {row["counter"]: row["value"] for row in cluster.dvmm(host, "stat guest")}


def rounds(guest, first):
    """{(readers, counts): [(us, counted, told), ...]} of ROUNDS rounds, and the next round's number."""
    found = {kind: [] for kind in KINDS}
    for nr in range(first, first + ROUNDS * len(KINDS)):
        match = guest.wait(LINE.format(nr), 200)
        readers, counts, us, counted, told = map(int, match.groups())
        found[readers, counts].append((us, counted, told))
    return {kind: values[1:] for kind, values in found.items()}, first + ROUNDS * len(KINDS)


def measure(cluster, guest, round_trips, late_us, first):
    home, reader = cluster.bed.hosts
    set_async_after(cluster, round_trips)
    home.netem(reader, delay_us=late_us)
    reader.netem(home, delay_us=late_us)
    before = stats(cluster, reader)
    found, following = rounds(guest, first)
    after = stats(cluster, reader)
    one, two, beside = ([statistics.median(column) for column in zip(*found[kind])] for kind in KINDS)
    went = {name: after[name] - before[name] for name in ("faults_remote_read", "faults_async")}
    went["told"] = sum(told for values in found.values() for _, _, told in values)
    print(f"# async_after={round_trips}, {late_us} us late: a page by one reader {one[0]:.0f} us, by two {two[0]:.0f} us, beside a counter "
          f"{beside[0]:.0f} us, which counts {beside[1]:.0f} %; {went['faults_async']} of {went['faults_remote_read']} "
          f"read misses asynchronous, the guest was told of {went['told']}", flush=True)
    return went, following


def run(cluster, append, takes_part):
    guest = cluster.start_guest(1, 1, machine="microvm", test="overlap:-t:2000", append=append,
                                show="-v" in sys.argv)
    guest.wait("DVMM-GUEST: up 2 vCPUs")
    waiting, following = measure(cluster, guest, 8, 0, 1)
    asynchronous, following = measure(cluster, guest, 0, 0, following)
    late, _ = measure(cluster, guest, 8, LATE_US, following)
    guest.host.run("pkill -TERM -x qemu-system-x86")
    guest.job.wait(60)
    assert not re.search("VIOLATION", guest.output), guest.output[-2000:]
    assert asynchronous["faults_async"] > asynchronous["faults_remote_read"] / 4, asynchronous
    assert late["faults_async"] > late["faults_remote_read"] / 4, late
    assert waiting["faults_async"] < asynchronous["faults_async"], (waiting, asynchronous)
    assert bool(asynchronous["told"]) == takes_part and (takes_part or not waiting["told"]), (waiting, asynchronous)
    for host in cluster.bed.hosts:
        cluster.wait_vm_gone(host)
        assert not host.splats(), host.splats()


def main(kernel="6.1", *words):
    tap = Tap()
    with Testbed(hosts=2, kernel=kernel) as bed:
        cluster = Cluster(bed)
        with tap.case(f"2_nodes_of_{kernel}_link_up"):
            cluster.up()
        for name, append in (("guest_that_only_halts", "no-kvmapf"), ("guest_that_takes_part", "")):
            with tap.case(f"{name}_reads_pages_of_another_host"):
                run(cluster, append, not append)
        with tap.case("modules_unload_and_nothing_is_left"):
            cluster.down()
    tap.end()


main(*sys.argv[1:])
