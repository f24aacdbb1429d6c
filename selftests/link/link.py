# SPDX-License-Identifier: GPL-2.0-or-later
"""Links between two hosts: they come up, carry, refuse, survive a cut, get lost, go away.

    scripts/testbed script selftests/link/link.py KERNEL[+KERNEL]
"""

import errno
import os
import re
import sys
import time

from testbed import Testbed
from testbed.tap import Tap

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
LINKCTL = os.environ.get("LINKCTL", os.path.join(TOP, "build/selftests/link/linkctl"))
PORT = 7471
TEST = "/sys/module/linktest/parameters"


class Node:
    """A host with dvmm loaded and its control fd held by linkctl."""

    def __init__(self, host, arguments=""):
        self.host = host
        host.load(f"dvmm {arguments}".strip())
        host.load("linktest")
        self.ctl = host.start(LINKCTL)

    def ask(self, line, timeout=20):
        self.ctl.send(line + "\n")
        return self.ctl.wait_line(rf"^{line.split()[0]}: (.*)$", timeout)[1]

    def must(self, line):
        answer = self.ask(line)
        assert answer == "ok", f"{self.host}: {line}: {answer}"

    def set(self, **options):
        words = " ".join(f"{name}={value}" for name, value in options.items())
        self.must(f"node {self.host.n} {self.host.address} {PORT} {words}")

    def add(self, peer, lost_after_ms=10000):
        self.must(f"add {peer.host.n} {peer.host.address} {PORT} {lost_after_ms}")

    def event(self, word, timeout=20, text=""):
        """The next event of a kind, whose text has this in it."""
        return self.ctl.wait_line(rf"^event: {word} (.*{re.escape(text)}.*)$", timeout)[1]

    def link(self, peer):
        words = self.ask(f"get {peer.host.n}").split(" ", 5)
        return {"state": words[1]} | dict(word.split("=", 1) for word in words[2:])

    def stat(self, what):
        return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", self.ask(f"stat {what}"))}

    def run(self, command, timeout=60):
        self.host.run(f"echo {command} > {TEST}/run", timeout)
        return self.host.run(f"cat {TEST}/result").strip()

    def seen(self):
        return {name: int(value) for name, value in
                re.findall(r"(\w+)=(\d+)", self.host.run(f"cat {TEST}/seen"))}

    def unload(self):
        self.ctl.kill(15)
        self.ctl.wait(20)
        self.host.run("rmmod linktest dvmm", 30)
        assert not self.host.splats(), self.host.splats()


def connect(a, b, **options):
    a.add(b, **options)
    b.add(a, **options)
    a.event("link-up")
    b.event("link-up")


def disconnect(a, b):
    a.must(f"close {b.host.n}")
    b.must(f"close {a.host.n}")


def up(a, b):
    a.set()
    b.set()
    connect(a, b)
    here, there = a.link(b), b.link(a)
    assert here["state"] == there["state"] == "up", (here, there)
    # Each side measured the other's clock: the sum of the two must be nothing but error.
    both = int(here["clock_offset"]) + int(there["clock_offset"])
    assert abs(both) <= int(here["clock_error"]) + int(there["clock_error"]), (here, there)
    print(f"# round trip {here['rtt_ns']} and {there['rtt_ns']} ns")


def carries(a, b):
    before = b.seen()
    a.run(f"flood {b.host.n} 5000")
    a.run(f"rtt {b.host.n} 1")     # is behind the flood, in order
    after = b.seen()
    assert after["in_order"] - before["in_order"] == 5000 and not after["out_of_order"], after


def carries_from_irq(a, b):
    before = b.seen()
    a.run(f"irq {b.host.n} 2000")
    a.run(f"rtt {b.host.n} 1")
    after = b.seen()
    assert after["in_order"] - before["in_order"] == 2000 and not after["out_of_order"], after


def carries_pages(a, b):
    a.run(f"pages {b.host.n} 1000")
    b.run(f"pages {a.host.n} 1000")
    for node, peer in ((a, b), (b, a)):
        node.host.run(f"for i in $(seq 100); do grep -q good_pages=1000 {TEST}/seen && exit 0; sleep 0.1; done; "
                      f"cat {TEST}/seen; exit 1", 30)
        assert node.seen()["bad_pages"] == 0
        assert node.stat(f"link {peer.host.n}")["rx_pages"] == 1000


def carries_big(a, b):
    for size in (1, 400, 600, 4000, 5000, 16000):
        a.run(f"rtt {b.host.n} 20 {size}")
    status = a.host.start(f"echo rtt {b.host.n} 1 17000 > {TEST}/run").wait(20)
    assert status, "a message beyond DVMM_MSG_MAX was taken"


def survives_cut(a, b):
    waiting = a.host.start(f"echo wait {b.host.n} 1000 30000 > {TEST}/run && echo answered")
    a.host.cut_link(b.host)
    time.sleep(2)       # what is tested
    a.event("link-suspect")
    b.event("link-suspect")
    a.host.cut_link(b.host, on=False)
    a.event("link-resumed")
    b.event("link-resumed")
    waiting.wait_line("answered", 30)
    assert a.link(b)["state"] == b.link(a)["state"] == "up"


def lost_by_cut(a, b):
    waiting = a.host.start(f"echo wait {b.host.n} 60000 > {TEST}/run || echo failed")
    a.host.cut_link(b.host)
    print("#", a.event("link-lost", 40))
    print("#", b.event("link-lost", 40))
    waiting.wait_line("failed", 10)
    assert a.host.run(f"cat {TEST}/result").strip() == f"error={-errno.ENOTCONN}"
    assert a.seen()["losses"] == b.seen()["losses"] == 1
    assert a.link(b)["state"] == "lost"


def comes_back(a, b):
    a.host.cut_link(b.host, on=False)
    a.event("link-up", 60)
    b.event("link-up", 60)
    a.run(f"rtt {b.host.n} 10")


def says_goodbye(a, b):
    a.must(f"close {b.host.n}")
    b.event("link-down")
    assert b.link(a)["state"] == "down"
    b.must(f"close {a.host.n}")


def refused(a, b, reason, **options):
    a.set()
    b.set(**options)
    before = b.stat("node")["links_refused"]
    a.add(b)
    b.add(a)
    try:
        for node in (a, b):
            # Who calls before the other has been told of it is refused as a stranger first.
            print("#", node.event("link-refused", text=reason))
        assert reason in a.link(b)["reason"], a.link(b)
        assert b.stat("node")["links_refused"] > before
    finally:
        disconnect(a, b)


def stranger(a, b):
    b.set()
    a.set()
    a.add(b)
    for node in (a, b):
        node.event("link-refused", text="n1 is not a configured peer of n2")
    a.must(f"close {b.host.n}")


def device_goes(a, b):
    a.set()
    b.set()
    connect(a, b, lost_after_ms=2000)
    a.host.run("rdma link delete rxe0")
    text = a.event("link-lost")
    assert "device is gone" in text, text
    b.event("link-lost")
    a.host.run("rdma link add rxe0 type rxe netdev eth0")
    a.event("link-up", 40)
    b.event("link-up", 40)
    disconnect(a, b)


def device_of_listener_goes(a, b):
    """On the side that accepts: its listener goes with the device, so it has to be set again."""
    a.set()
    b.set()
    connect(a, b, lost_after_ms=2000)
    b.host.run("rdma link delete rxe0")
    text = b.event("link-lost")
    assert "device is gone" in text, text
    a.event("link-lost")
    disconnect(a, b)
    b.host.run("rdma link add rxe0 type rxe netdev eth0")
    a.set()
    b.set()
    connect(a, b)
    disconnect(a, b)


def in_use(a):
    status = a.host.start("rmmod dvmm").wait(20)
    assert status, "a module in use was unloaded"


def nothing_left(*nodes):
    for node in nodes:
        node.unload()
        left = node.host.run("rdma res show")
        # What the stack itself keeps: one PD, CQ and QP for connection management.
        assert "pd 1 cq 1 qp 1 cm_id 0" in left, left


def other_version(bed):
    a, b = Node(bed.hosts[0]), Node(bed.hosts[1], "wire_version=99")
    ours = a.host.run("cat /sys/module/dvmm/parameters/wire_version").strip()
    refused(a, b, f"wire versions differ: n1 has {ours}, n2 has 99")
    nothing_left(a, b)


def killed(a, b):
    a.set()
    b.set()
    connect(a, b, lost_after_ms=2000)
    b.host.kill()
    print("#", a.event("link-lost", 40))
    a.unload()


def main(kernel):
    tap = Tap()
    kernels = (kernel.split("+") * 2)[:2]
    with Testbed(hosts=2, kernel=kernels, mem="1G", modules=os.environ.get("MODULES")) as bed:
        a, b = Node(bed.hosts[0]), Node(bed.hosts[1])
        for title, act in (
                ("link_comes_up_and_clocks_agree", up),
                ("messages_arrive_in_order", carries),
                ("messages_from_hard_interrupt_arrive_in_order", carries_from_irq),
                ("messages_of_all_sizes_arrive", carries_big),
                ("pages_arrive_whole", carries_pages),
                ("request_survives_a_cut_of_2_s", survives_cut),
                ("peer_is_lost_by_a_long_cut", lost_by_cut),
                ("lost_peer_comes_back", comes_back),
                ("goodbye_is_no_loss", says_goodbye),
                ("stranger_is_refused", stranger)):
            with tap.case(title):
                act(a, b)
        with tap.case("wrong_key_is_refused_by_both"):
            refused(a, b, "wrong cluster key", key=0x12)
        with tap.case("other_cluster_is_refused_by_both"):
            refused(a, b, "cluster ids differ", cluster=0x23)
        with tap.case("link_ends_with_its_rdma_device_and_comes_back"):
            device_goes(a, b)
        with tap.case("accepted_link_ends_with_its_rdma_device"):
            device_of_listener_goes(a, b)
        with tap.case("module_in_use_stays"):
            in_use(a)
        with tap.case("modules_unload_and_nothing_is_left"):
            nothing_left(a, b)
        with tap.case("other_version_is_refused_by_both"):
            other_version(bed)
        with tap.case("killed_host_is_lost"):
            killed(Node(bed.hosts[0]), Node(bed.hosts[1]))
    tap.end()


main(*sys.argv[1:])
