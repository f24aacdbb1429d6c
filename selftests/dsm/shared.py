# SPDX-License-Identifier: GPL-2.0-or-later
"""Several nodes hammer the same memory: shared.py [kernel [hosts [policy]]]."""

import os
import sys


sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from nodes import share, together, up  # noqa: E402
from testbed import Testbed  # noqa: E402
from testbed.tap import Tap  # noqa: E402

TESTS = {"pages": 2, "atomics": 2000, "mp": 3000, "random": 3000, "locked": 300, "pingpong": 100, "sb": 30,
         "threads": 500}


def scenario(bed, policy):
    tap = Tap()
    nodes = up(bed.hosts)
    share(nodes, 64, policy)
    for name, rounds in TESTS.items():
        with tap.case(f"{name}_on_{len(nodes)}_nodes"):
            before = [node.stat() for node in nodes]
            print("#", together(nodes, f"test {name} {rounds} 1", 120))
            for node, old in zip(nodes, before):
                now = node.stat()
                print("#", {key: now[key] - old.get(key, 0) for key in now if now[key] != old.get(key, 0)}, flush=True)
    with tap.case("nothing_is_left"):
        for node in nodes:
            print("#", node.ask("info"))
        for node in nodes:
            node.end()
    tap.end()


args = sys.argv[1:] + ["6.1", "2", "0"][len(sys.argv) - 1:]
with Testbed(hosts=int(args[1]), kernel=args[0], cpus=1, mem="1G") as testbed:
    scenario(testbed, int(args[2]))
