# SPDX-License-Identifier: GPL-2.0-or-later
"""A page that two vCPUs of a guest fight over is found by its guest address, and its story told.

    scripts/testbed script selftests/testbed/seen.py [KERNEL]
"""

import os
import shutil
import subprocess
import sys
import time

from testbed import Testbed, kernels, trace
from testbed.cluster import DVMM, Cluster
from testbed.tap import Tap

TEST = "memcheck:-k:message-passing:-t:4:-n:1000000"


def shown(text, lines=8):
    print("".join(f"# {line}\n" for line in text.splitlines()[:lines]), end="", flush=True)


def find(cluster, host, address, seconds=90):
    """The row of dvmm mem top with that guest address, when both nodes are seen to fight over it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        rows = cluster.dvmm(host, "mem top seen")
        for row in rows:
            if row["gpa"] and int(row["gpa"], 16) == address and row["nodes"] == ["n1", "n2"] and row["takes"] + row["invalidations"]:
                return row
        host.run("sleep 0.5")
    raise AssertionError(f"{host}: guest address {address:#x} is not in {rows}")


def found_by_guest_address(cluster, address):
    for host in cluster.bed.hosts:
        row = find(cluster, host, address)
        shown(host.run(f"{DVMM} -n5 mem top seen"))
        shown(host.run(f"timeout 4 {DVMM} -n3 -w1 mem top seen || true"), 12)
        assert row["home"] == "n1", row
    return row["page"]


def kept(host):
    """Its recording, where it outlives the host: who doubts the story reads that."""
    name = os.path.join(kernels.TOP, "build", "seen", f"{host}.trace")
    os.makedirs(os.path.dirname(name), exist_ok=True)
    return shutil.copy(trace.recorded(host), name)


def story_told(cluster, page):
    for host in cluster.bed.hosts:
        trace.record(host)
    for host in cluster.bed.hosts:
        trace.wait_recorded(host, page, 60)
    files = [kept(host) for host in cluster.bed.hosts]
    done = subprocess.run([f"{kernels.TOP}/scripts/page-story", *files, "--page", page], check=False, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    shown(done.stdout, 40)
    shown("\n".join(done.stdout.splitlines()[-5:]))
    assert done.returncode == 0, "the story is not complete"


def main(kernel="6.1"):
    tap = Tap()
    with Testbed(hosts=2, kernel=kernel) as bed:
        cluster = Cluster(bed)
        cluster.up()
        guest = cluster.start_guest(1, 1, name="seen", test=TEST)
        address = int(guest.wait(r"message-passing: data in page (\d+)")[1]) << 12
        with tap.case(f"page_in_dispute_is_found_by_its_guest_address_on_{kernel}"):
            page = found_by_guest_address(cluster, address)
        with tap.case(f"story_of_a_guest_page_is_complete_on_{kernel}"):
            story_told(cluster, page)
        shown(guest.host.run(f"timeout 4 {DVMM} -w1 vcpu list || true"), 9)
        guest.host.run("pkill -KILL -x qemu-system-x86")
        for host in bed.hosts:
            cluster.wait_vm_gone(host)
        with tap.case("modules_unload_and_nothing_is_left"):
            cluster.down()
    tap.end()


main(*sys.argv[1:])
