# SPDX-License-Identifier: GPL-2.0-or-later
"""A host is maintained while a VM over it runs: emptied, switched off, back, and part of the VM again.

    scripts/testbed script selftests/testbed/maintain.py [KERNEL]

The VM began with it, and a third of the memory had its home there. Twice, under the guest's memory checker;
the second time its homes go back to it before, and it is only its slice that dies.
"""

import re
import sys
import time

from testbed import Testbed
from testbed.cluster import DVMM, Cluster
from testbed.tap import Tap

# Longer than all of it.
LOAD = {"test": "memcheck:-t:900:-n:100000000:-k:ping-pong+atomics", "append": "dvmm.limit=900"}


class Vm:
    """The guest, and what its origin says of it."""

    def __init__(self, cluster):
        self.cluster, self.origin = cluster, cluster.bed.hosts[0]
        self.guest = cluster.start_guest(1, 1, 1, home="interleave", **LOAD)
        self.guest.wait(r"memcheck: \d+ vCPUs", timeout=600)

    def places(self):
        return [row["node"] for row in self.cluster.dvmm(self.origin, "vcpu list guest")]

    def received(self, host):
        """Pages that came to it so far."""
        stats = self.cluster.dvmm(host, "stat guest")
        return next(int(stat["value"]) for stat in stats if stat["counter"] == "pages_received")

    def homed(self, host):
        return sum(mem["homed_bytes"] for mem in self.cluster.dvmm(host, "mem list guest"))

    def losses(self):
        """How often it has lost host 3."""
        return len(re.findall("vm-node-lost.*node 3", self.cluster.events(self.origin)))

    def until(self, what, condition, timeout=60):
        end_s = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end_s, f"never: {what}"
            time.sleep(0.2)

    def works(self, *hosts):
        """On these, on the same memory."""
        for host in hosts:
            before = self.received(host)
            self.until(f"a page comes to host {host.n}", lambda: self.received(host) > before)
        assert self.guest.job.status is None and "FAIL" not in self.guest.output, \
            self.guest.output[-2000:] + self.guest.errors[-2000:]


def away(vm, host, end):
    """It holds nothing and nobody needs it, so it may go."""
    left, = vm.cluster.dvmm(vm.origin, "node drain n3")
    print(f"# drained: {left}", flush=True)
    assert "n3" not in vm.places() and vm.homed(host) == 0, (vm.places(), vm.homed(host))
    before = vm.losses()
    end()
    vm.until("the loss is seen", lambda: vm.losses() > before, 90)
    vm.works(*vm.cluster.bed.hosts[:2])


def back(vm, host):
    """It comes with nothing, and gets a vCPU and homes."""
    if not host.is_alive():
        vm.cluster.come_back(host)
    took = vm.cluster.dvmm(vm.origin, "vcpu move guest:2 n3")
    assert took["joined"] and vm.places()[2] == "n3", (took, vm.places())
    vm.works(*vm.cluster.bed.hosts)


def homes_go_there(vm, host):
    vm.origin.run(f"{DVMM} mem rehome guest n3 --from n1", 300)
    assert vm.homed(host) > 0 and vm.homed(vm.origin) == 0, (vm.homed(host), vm.homed(vm.origin))
    vm.works(*vm.cluster.bed.hosts)


def end(vm):
    vm.origin.run("pkill -TERM -x qemu-system-x86")
    vm.guest.job.wait(60)
    for host in vm.cluster.bed.hosts:
        vm.cluster.wait_vm_gone(host)


def main(kernel="6.1"):
    tap = Tap()
    with Testbed(hosts=3, kernel=kernel) as bed:
        cluster, third = Cluster(bed), bed.hosts[2]
        with tap.case(f"a_guest_runs_on_three_hosts_of_{kernel}"):
            cluster.up()
            vm = Vm(cluster)
        with tap.case("host_is_emptied_and_goes"):
            away(vm, third, third.kill)
        with tap.case("host_comes_back_and_joins_the_vm"):
            back(vm, third)
        with tap.case("homes_go_back_to_it"):
            homes_go_there(vm, third)
        with tap.case("slice_that_nobody_needs_may_die"):
            away(vm, third, lambda: third.run("pkill -KILL -x dvmm-slice"))
            back(vm, third)
        with tap.case("modules_unload_and_nothing_is_left"):
            end(vm)
            cluster.down()
    tap.end()


main(*sys.argv[1:])
