# SPDX-License-Identifier: GPL-2.0-or-later
"""The hosts of a testbed as nodes of one dvmm cluster, and spanning guests on them."""

import json
import time

from . import guest, kernels

DVMM = "build/user/dvmm"

# The kernel boots on vCPU 0, which emulated hosts do in seconds; init takes in the others.
BOOT_ALONE = "maxcpus=1 rcupdate.rcu_cpu_stall_suppress=1"


def place(*counts):
    """place(3, 1) -> '0=n1,1=n1,2=n1,3=n2': so many vCPUs on n1, n2, ..."""
    words, vcpu = [], 0
    for n, count in enumerate(counts, 1):
        words += [f"{vcpu + i}=n{n}" for i in range(count)]
        vcpu += count
    return ",".join(words)


class SpanningGuest:
    """The test guest under `dvmm run` on a host; its console is the job's output."""

    def __init__(self, cluster, host, job):
        self.cluster, self.host, self.job = cluster, host, job

    def wait(self, pattern, timeout=300):
        """Waits for the guest (or QEMU) to say something; returns the match."""
        return self.job.wait_line(pattern, timeout=timeout)

    def finish(self, *tests, timeout=600):
        """The guest ends by itself and says that all tests, and these among them, went well."""
        status = self.job.wait(timeout)
        guest.check(self.job.output, *tests)
        assert status == 0, f"dvmm run ended with {status}:\n{self.job.errors[-2000:]}"

    @property
    def output(self):
        return self.job.output

    @property
    def errors(self):
        return self.job.errors


class Cluster:
    """with Testbed(...) as bed: cluster = Cluster(bed); cluster.up(); ...; cluster.down()"""

    def __init__(self, bed, env=""):
        self.bed, self.env = bed, env

    def up(self, links_timeout=60):
        """Modules, agents, links."""
        total = len(self.bed.hosts)
        jobs = [self.node_up(host, total) for host in self.bed.hosts]
        for job in jobs:
            job.check(120)
        self.wait_links(links_timeout)

    def form(self, hosts=None, **settings):
        """As up(), but the hosts (all) become a cluster by token, as people make it."""
        first, *others = hosts or self.bed.hosts
        first.run(f"{DVMM} cluster init --name lab --node n1")
        self.node_with_state_up(first)
        for name, value in settings.items():
            first.run(f"{DVMM} cluster set {name.replace('_', '-')} {value}")
        for host in others:
            self.take_in(host)
        self.wait_links(hosts=hosts)

    def take_in(self, host, words=("modules", "agent")):
        """One more host joins what form() made."""
        token = self.dvmm(self.bed.hosts[0], "cluster token")["token"]
        host.run(f"{DVMM} cluster join {token} --node n{host.n}")
        self.node_with_state_up(host, words)

    def node_with_state_up(self, host, words=("modules", "agent")):
        """One that `dvmm cluster` has made a node."""
        modules = self.bed.module_dir(host.release)
        for word in words:
            host.start(f"DVMM_MODULES={modules} sh selftests/testbed/node-up {word}").check(120)

    def node_up(self, host, total, env=""):
        modules = self.bed.module_dir(host.release)
        return host.start(f"DVMM_MODULES={modules} {self.env} {env} sh selftests/testbed/node-up {host.n} {total}")

    def wait_links(self, timeout=60, hosts=None):
        jobs = [host.start(f"sh selftests/testbed/node-up links {timeout}") for host in hosts or self.bed.hosts]
        for job in jobs:
            job.check(timeout + 20)

    def come_back(self, host):
        """A host that was killed is a node again."""
        host.power_on()
        host.wait_ready()
        self.node_up(host, len(self.bed.hosts)).check(120)
        self.wait_links(90)

    def down(self, hosts=None):
        """Ends agents, unloads the modules; fails on anything left or said in the kernel's log."""
        hosts = [host for host in hosts or self.bed.hosts if host.is_alive()]
        jobs = [host.start("sh selftests/testbed/node-up down") for host in hosts]
        for job in jobs:
            job.check(90)
        for host in hosts:
            self.check_clean(host)

    @staticmethod
    def check_clean(host):
        assert not host.splats(), "\n".join(host.splats())
        assert not host.leaked(), "\n".join(host.leaked())
        loaded = host.run("cat /proc/modules")
        assert "dvmm" not in loaded, loaded

    # Observation

    def dvmm(self, host, words):
        """One `dvmm ... -o json` as Python data."""
        return json.loads(host.run(f"{DVMM} -o json {words}"))

    def events(self, host):
        return host.run(f"{DVMM} event list")

    def wait_event(self, host, pattern, timeout=60):
        """An event that happened or happens."""
        follow = host.start(f"{DVMM} event list --follow")
        try:
            return follow.wait_line(pattern, timeout=timeout)
        finally:
            follow.kill()

    def wait_vm_gone(self, host, timeout=60):
        """Until no VM has a part on the host."""
        host.run(f"timeout $(({timeout} * TESTBED_SLOWNESS)) sh -c 'until [ -z \"$({DVMM} -o csv -H vm list)\" ]; do sleep 0.2; done'",
                 timeout + 20)

    def stats(self, host, vm):
        """{counter: value} of what the VM has on a host."""
        return {row["counter"]: int(row["value"]) for row in self.dvmm(host, f"stat {vm}")}

    def wait_crossing(self, vm, host=None, pages=1, timeout=60):
        """Until so many more pages have come to the (first) host: another one works on the same memory."""
        host, end = host or self.bed.hosts[0], time.monotonic() + timeout
        before = self.stats(host, vm)["pages_received"]
        while (now := self.stats(host, vm)["pages_received"]) < before + pages:
            assert time.monotonic() < end, f"{vm} does not work on both hosts: {now - before} pages came to {host}"

    # Guests

    def start_guest(self, *counts, host=None, home="origin", budget="", name="guest", memory="", grow=False, show=False,
                    **options):
        """The test guest with counts[i] vCPUs on host i + 1; options as for guest.qemu().

        memory: nodes that lend memory only, as "n2,n3".
        grow: other nodes may join it, though none has a part in it.
        home: origin, interleave, or numa: the guest has a NUMA cell for each host.
        """
        host = host or self.bed.hosts[0]
        options.setdefault("cpus", sum(counts))
        options.setdefault("slow", guest.slowness(len(self.bed.hosts)))
        options["append"] = f"{BOOT_ALONE} {options.get('append', '')}"
        if not (options.get("disk") or "/dev").startswith("/dev"):
            host.run(f"truncate -s 16M {options['disk']}")
        homes = f"--numa {options.get('mem', '256M')}" if home == "numa" else f"--home {home}"
        command = f"{DVMM} run --name {name} --place {place(*counts)} {homes} " \
                  f"{budget and '--budget ' + budget} {memory and '--memory ' + memory} {'--grow' * grow} -- {guest.qemu(**options)}"
        return SpanningGuest(self, host, host.start(f"exec {command}", show=show))


__all__ = ["Cluster", "SpanningGuest", "place", "kernels"]
