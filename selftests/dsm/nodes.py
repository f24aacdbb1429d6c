# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts of a testbed that share memory through dvmm-dsm, without any guest."""

import subprocess
import sys

from testbed import kernels

BUILD = "build"
MIB = 1 << 20


def build(kernel):
    """The product's modules, and dsm-test.ko against these, for a kernel ("6.1") or several ("6.1+6.12").

    Before hosts boot: a test module that is older than the others does not load.
    """
    def make(*words):
        subprocess.run(["make", "-s", *words], cwd=kernels.TOP, check=True, stdout=sys.stderr)

    for version in kernel.split("+"):
        dirs = subprocess.run(["selftests/kdirs", version], cwd=kernels.TOP, check=True, text=True, stdout=subprocess.PIPE)
        for kdir in dirs.stdout.split():
            make("modules", f"KDIR={kdir}")
            make("-C", "selftests/dsm", f"KDIR={kdir}")


class Node:
    """The program `memory` on a host: ask() gives it a command and returns its answer."""

    def __init__(self, host, dsm=None):
        self.host = host
        self.load(dsm or f"{BUILD}/{host.release}/dvmm-dsm.ko")
        self.job = host.start(f"exec {BUILD}/selftests/dsm/memory")
        self.job.wait_line("ready:")

    def load(self, dsm):
        test = f"{BUILD}/selftests/dsm/{self.host.release}/dsm-test.ko"
        self.host.run("modprobe -q rdma_cm; modprobe -q ib_core; true")
        for file in (f"{BUILD}/{self.host.release}/dvmm.ko", dsm, test):
            self.host.run(f"insmod {file}")

    def tell(self, command):
        self.job.send(command + "\n")

    def answer(self, timeout=60):
        return self.job.wait_line(r"^(ok|failed): ?(.*)$", timeout=timeout)

    def ask(self, command, timeout=60):
        self.tell(command)
        match = self.answer(timeout)
        assert match[1] == "ok", f"{self.host}: {command}: {match[0]}\n{self.host.dmesg()[-1500:]}"
        return match[2]

    def pid(self):
        return self.host.run("pgrep -x memory").strip()

    def stat(self):
        return {key: int(value) for key, value in (word.split("=") for word in self.ask("stat").split())}

    def top(self):
        """The pages that nodes fight over, hottest first: {"page": "1:2", "takes": 7, ...}."""
        pages = [word.split(",") for word in self.ask("top").split()]
        return [{"page": name, **{key: int(value, 0) for key, value in (word.split("=") for word in words)}}
                for name, *words in pages]

    def end(self):
        """The program ends, the modules go; nothing may be left."""
        if self.job.status is None:
            self.job.kill()
            self.job.wait()
        self.unload()

    def unload(self):
        self.host.run("for m in dsm_test dvmm_dsm dvmm; do for i in $(seq 50); do rmmod $m && break; sleep 0.1; done; "
                      "done 2>/dev/null; ! grep -q -e dvmm -e dsm_test /proc/modules")
        assert not self.host.splats(), self.host.splats()
        assert not self.host.leaked(), self.host.leaked()


def up(hosts, dsm=None, needed=()):
    """Nodes with links and a VM whose origin is the first; dsm: another build of the module;
    needed: numbers of the nodes without which the VM fails."""
    nodes = [Node(host, dsm) for host in hosts]
    for n, node in enumerate(nodes, 1):
        node.ask(f"node {n} {len(nodes)}")
    for node in nodes:
        node.ask("links", 90)
    for node in nodes:
        node.ask(f"vm 1 {sum(1 << n for n in needed)}")
    return nodes


def share(nodes, megabytes, policy=0, kind="anon", mem=1, homes=""):
    """Memory of the first node becomes everybody's; homes: "START BYTES NODE"."""
    nbytes = megabytes * MIB
    nodes[0].ask(f"adopt {nbytes} {policy} {kind} {homes}".strip())
    for node in nodes[1:]:
        node.ask(f"map {mem} {nbytes} {policy}")


def together(nodes, command, timeout=120):
    for node in nodes:
        node.tell(command)
    answers = [node.answer(timeout) for node in nodes]
    for node, answer in zip(nodes, answers):
        assert answer[1] == "ok", f"{node.host}: {command}: {answer[0]}\n{node.job.output[-1000:]}"
    return [answer[2] for answer in answers]
