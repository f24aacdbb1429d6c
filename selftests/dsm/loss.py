# SPDX-License-Identifier: GPL-2.0-or-later
"""A node that lent memory is lost, the others go on: loss.py [kernel[+kernel]]. Three hosts, no guest."""

import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from nodes import MIB, build, share, up  # noqa: E402
from testbed import Testbed  # noqa: E402
from testbed.tap import Tap  # noqa: E402

EXTENT = 512  # pages with one home: 0 at node 1, 1 at node 2, 2 at node 3, 3 at node 1 again, ...
HOMES = (1, 2, 3)
NR = 4  # pages of a kind
# What was done with the pages of a kind, and which nodes hold a copy then.
KINDS = {
    "untouched": ((), ()),
    "written by 1": (((1, "fill"),), (1,)),
    "written by 2": (((2, "fill"),), (2,)),
    "written by 3": (((3, "fill"),), (3,)),
    "written by 3, then by 1": (((3, "fill"), (1, "fill")), (1,)),
    "written by 1, read by 2": (((1, "fill"), (2, "verify")), (1, 2)),
    "written by 1, read by 3": (((1, "fill"), (3, "verify")), (1, 3)),
    "written by 3, read by 2": (((3, "fill"), (2, "verify")), (2, 3)),
    "written by 3, read by all": (((3, "fill"), (2, "verify"), (1, "verify")), (1, 2, 3)),
    "read by 1": (((1, "zero"),), (1,)),
    "read by 2": (((2, "zero"),), (2,)),
    "read by 3": (((3, "zero"),), (3,)),
}


def page_of(kind, home):
    return (home - 1) * EXTENT + list(KINDS).index(kind) * 2 * NR


def seed_of(kind):
    return "zero" if not any(act == "fill" for _, act in KINDS[kind][0]) else "7"


def survives(kind, home, lost=3):
    """Untouched memory is known to be so at its home alone."""
    return any(node != lost for node in KINDS[kind][1]) or (not KINDS[kind][0] and home != lost)


def set_prefetch(nodes, window):
    for node in nodes:
        node.host.run(f"echo {window} >/sys/module/dvmm_dsm/parameters/prefetch_window")


def wait_gone(nodes, lost, seconds=40):
    """The survivors have agreed."""
    for node in nodes:
        node.host.run(f"timeout {seconds} sh -c 'until dmesg | grep -q \"dsm-test: lost node {lost}\"; "
                      "do sleep 0.05; done'", seconds + 5)
        assert "dsm-test: failed" not in node.host.dmesg(), node.host.dmesg()[-1500:]


def prepare(nodes):
    for kind, (acts, _) in KINDS.items():
        for home in HOMES:
            for node, act in acts:
                command = "fill 7" if act == "fill" else f"verify {seed_of(kind)}"
                nodes[node - 1].ask(f"{command} {page_of(kind, home)} {NR}")


def all_that_is_left(nodes):
    for kind in KINDS:
        for home in HOMES:
            if not survives(kind, home):
                continue
            at = f"{page_of(kind, home)} {NR}"
            for node in nodes:
                node.ask(f"verify {seed_of(kind)} {at}")
            nodes[1].ask(f"fill 8 {at}")
            nodes[0].ask(f"verify 8 {at}")
            nodes[0].ask(f"fill 9 {at}")
            nodes[1].ask(f"verify 9 {at}")


def ends_at(node, page, lost=3):
    node.tell(f"read {page}")
    assert "SIGBUS" in node.answer(30)[2]
    said = re.search(r"dsm-test: failed: (.*)", node.host.dmesg())
    # Another node may have ended meanwhile, because it has met a lost page too.
    sentence = rf"page {page} of memory object 1 was lost with node (\d-)?{lost}, at 1:{page * 4096:#x}"
    assert said and re.fullmatch(sentence, said[1]), said
    print("#", node.host, said[1], flush=True)


def again(bed, host):
    host.power_on()
    host.wait_ready()


def end(nodes):
    for node in nodes:
        node.end()


def begin(bed):
    for host in bed.hosts:
        host.run("dmesg -C")
    nodes = up(bed.hosts)
    share(nodes, 3 * EXTENT * 4096 // MIB, 1)
    return nodes


def quiet(tap, bed):
    nodes = begin(bed)
    set_prefetch(nodes, 0)
    prepare(nodes)
    nodes[2].host.kill()
    nodes = nodes[:2]
    with tap.case("survivors_agree_on_the_loss"):
        wait_gone(nodes, 3)
    with tap.case("what_a_survivor_holds_is_read_and_written"):
        all_that_is_left(nodes)
        for node in nodes:
            print("#", node.stat(), flush=True)
    with tap.case("a_page_that_is_lost_ends_the_vm_with_its_name"):
        ends_at(nodes[1], page_of("written by 3", 1))  # told by its home, node 1
        ends_at(nodes[0], page_of("untouched", 3))  # by the new home itself
    with tap.case("nothing_is_left_after_the_loss"):
        end(nodes)


def sums(nodes):
    answers = [[int(word) for word in node.ask("sum", 120).split()] for node in nodes]
    print("#", answers, flush=True)
    added = sum(mine for mine, _ in answers)
    assert added > 1000 and all(total == added for _, total in answers), answers


def churn(nodes, seconds, reader=None):
    """Some add to all pages, another one only reads: it never has, or sends, the only copy."""
    for node in nodes:
        node.tell(f"churn {seconds} {'read' if node is reader else 'add'}")


def churned(nodes, timeout=120):
    for node in nodes:
        answer = node.answer(timeout)
        assert answer[1] == "ok", f"{node.host}: {answer[0]}\n{node.host.dmesg()[-1500:]}"


def busy(node, ticks=50):
    node.host.run(f"timeout 30 sh -c 'until [ $(awk \"{{ print \\$14 + \\$15 }}\" /proc/{node.pid()}/stat) -gt {ticks} ]; "
                  "do sleep 0.1; done'", 40)


def under_load(tap, bed):
    nodes = begin(bed)
    nodes[0].ask("fill 1", 120)
    churn(nodes, 25, reader=nodes[2])
    busy(nodes[2])
    nodes[2].host.kill()
    with tap.case("no_addition_is_lost_with_a_reader"):
        churned(nodes[:2])
        wait_gone(nodes[:2], 3, 1)
        for node in nodes[:2]:
            print("#", node.stat(), flush=True)
        sums(nodes[:2])
    with tap.case("a_second_node_is_lost"):
        # Pages that a node has written it takes for writing again: fresh ones for one that only reads.
        share(nodes[:2], 3 * EXTENT * 4096 // MIB, 1, mem=2)
        nodes[0].ask("fill 3", 120)
        nodes[1].ask("verify 3", 120)
        churn(nodes[:2], 12, reader=nodes[1])
        busy(nodes[1], 100)
        nodes[1].host.kill()
        churned(nodes[:1])
        wait_gone(nodes[:1], 2, 1)
        nodes[0].ask("verify 3", 120)
        nodes[0].ask("sum", 120)
    with tap.case("nothing_is_left_after_two_losses"):
        end(nodes[:1])


def link_cut(tap, bed):
    """Nodes 2 and 3 live, but not for each other: the origin gives up one of them."""
    nodes = begin(bed)
    nodes[0].ask("fill 1", 120)
    for node in nodes[1:]:
        node.ask("verify 1", 120)
    nodes[1].host.cut_link(nodes[2].host)
    with tap.case("of_two_nodes_without_a_link_one_is_given_up"):
        nodes[0].host.run("timeout 40 sh -c 'until dmesg | grep -q \"dsm-test: lost node\"; do sleep 0.05; done'", 45)
        lost = int(re.search("dsm-test: lost node (.)", nodes[0].host.dmesg())[1])
        print("# given up:", lost, flush=True)
        kept = nodes[4 - lost]
        wait_gone([nodes[0], kept], lost, 20)
        kept.ask("fill 2", 120)
        nodes[0].ask("verify 2", 120)
        nodes[lost - 1].tell("verify 1")
        assert "SIGBUS" in nodes[lost - 1].answer(30)[2]
        assert "failed: node 1 has given up this one" in nodes[lost - 1].host.dmesg()
    with tap.case("nothing_is_left_of_the_one_given_up"):
        end(nodes)
    nodes[1].host.cut_link(nodes[2].host, on=False)


def main(kernel="6.1"):
    tap = Tap()
    kernels = (kernel.split("+") * 3)[:3]
    build(kernel)
    with Testbed(hosts=3, kernel=kernels, cpus=1, mem="1G") as bed:
        link_cut(tap, bed)
        quiet(tap, bed)
        again(bed, bed.hosts[2])
        under_load(tap, bed)
    tap.end()


main(*sys.argv[1:])
