# SPDX-License-Identifier: GPL-2.0-or-later
"""A host loses its power at random moments: poweroff.py [KERNEL [SEED...]]. Three hosts, two spanning VMs.

    scripts/testbed script selftests/testbed/poweroff.py 6.1 1 2 3

VM `doomed` needs hosts 1 and 2, `other` needs 1 and 3. Host 2 goes off at a moment that the seed
chooses, from the start of `doomed` until well after its boot: that one ends with an event, the
other one goes on and finds nothing wrong, and no survivor says a word it should not. Then host 2 joins again.
"""

import random
import re
import sys
import time

from testbed import Testbed
from testbed.cluster import Cluster
from testbed.host import Host
from testbed.tap import Tap

LATEST = 90  # seconds after the start of `doomed`; a boot takes about 40
LOAD = {"test": "memcheck:-t:900:-n:100000000:-k:ping-pong", "append": "dvmm.limit=3600"}


def clean(cluster, hosts):
    for host in hosts:
        assert not host.splats(), "\n".join(host.splats())


def power_lost(cluster, seed):
    first, second, third = cluster.bed.hosts
    moment = random.Random(seed).uniform(0, LATEST)
    doomed = cluster.start_guest(1, 1, name=f"doomed{seed}", **LOAD)
    time.sleep(moment)  # what is under test
    print(f"# seed {seed}: {moment:.1f} s after the start", flush=True)
    second.kill()
    assert doomed.job.wait(120) != 0, "dvmm run says that all went well"
    said = [line for line in cluster.events(first).splitlines() if f"doomed{seed}:" in line]
    print("".join(f"# {line}\n" for line in said), end="", flush=True)
    assert not said or any("vm-dead" in line for line in said), said
    cluster.wait_crossing("other", pages=10, timeout=120)
    clean(cluster, (first, third))
    cluster.come_back(second)


def main(kernel="6.1", *seeds):
    tap = Tap()
    with Testbed(hosts=3, kernel=kernel) as bed:
        cluster = Cluster(bed)
        with tap.case(f"three_nodes_of_{kernel}_link_up"):
            cluster.up()
        with tap.case("other_vm_works_on_two_of_them"):
            other = cluster.start_guest(1, 0, 1, name="other", **LOAD)
            other.wait(r"memcheck: \d+ vCPUs", timeout=600)
            cluster.wait_crossing("other", pages=10, timeout=120)
        for seed in map(int, seeds or range(1, 11)):
            if tap.failed:
                break
            with tap.case(f"host_off_at_random_moment_{seed} ({kernel})"):
                power_lost(cluster, seed)
        with tap.case("other_vm_found_nothing_wrong"):
            assert other.job.status is None and not re.search("VIOLATION|FAIL", other.output), other.output[-2000:]
            cluster.wait_crossing("other", pages=10, timeout=120)
        with tap.case("survivors_unload_cleanly"):
            bed.hosts[0].start("pkill -TERM -x qemu-system-x86").wait(20)
            for host in filter(Host.is_alive, bed.hosts):
                cluster.wait_vm_gone(host)
            cluster.down()
    tap.end()


main(*sys.argv[1:])
