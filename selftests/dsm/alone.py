# SPDX-License-Identifier: GPL-2.0-or-later
"""One node: adoption, local faults, O_DIRECT, kill, unload."""

import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from nodes import MIB, share, up  # noqa: E402
from testbed import Testbed  # noqa: E402
from testbed.tap import Tap  # noqa: E402


def adopt(bed, tap, kind):
    with tap.case(f"adoption_keeps_contents_{kind}"):
        began = time.monotonic()
        nodes = up(bed.hosts)
        print(f"# {time.monotonic() - began:.1f} up")
        nodes[0].ask(f"adopt {24 * MIB} 0 {kind}")
        print(f"# {time.monotonic() - began:.1f} adopt")
        nodes[0].end()


def scenario(bed):
    tap = Tap()
    for kind in ("filled-anon", "filled-memfd", "anon"):
        adopt(bed, tap, kind)
    with tap.case("unsupported_memory_is_refused"):
        nodes = up(bed.hosts)
        bed.hosts[0].run("echo 4 >/proc/sys/vm/nr_hugepages")
        nodes[0].tell(f"adopt {4 * MIB} 0 huge")
        answer = nodes[0].answer()[2]
        assert "not supported" in answer, answer
        nodes[0].end()
    with tap.case("one_node_shares_with_itself"):
        nodes = up(bed.hosts)
        share(nodes, 256)
        for test in ("atomics", "random", "locked", "pages", "threads"):
            print("#", nodes[0].ask(f"test {test} 20 1"))
        nodes[0].ask("protect")
        nodes[0].ask("direct /out/direct 64")
        for _ in range(5):
            print("#", nodes[0].ask("time touch 8000"), nodes[0].ask("time shmem 8000"), flush=True)
        print("#", nodes[0].ask("info"))
        print("#", nodes[0].stat())
        nodes[0].ask("kill")
        nodes[0].tell("read 7")
        assert "SIGBUS" in nodes[0].answer()[2]
        nodes[0].end()
    tap.end()


with Testbed(hosts=1, kernel=(sys.argv[1:] or ["6.1"])[0], cpus=2) as testbed:
    scenario(testbed)
