# SPDX-License-Identifier: GPL-2.0-or-later
"""Coherent memory without a guest, on emulated hosts: dsm.py [kernel [hosts [pooled | seen | homes | large]]]."""

import gzip
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from nodes import BUILD, MIB, build, share, together, up  # noqa: E402
from testbed import Testbed, trace  # noqa: E402
from testbed.tap import Tap  # noqa: E402

POLICIES = ["origin", "interleave"]
TESTS = {"pages": 2, "atomics": 2000, "mp": 2000, "random": 300, "locked": 300, "pingpong": 30, "sb": 10,
         "threads": 100}
HAMMER = "test threads 100000000 1"


def end(nodes):
    for node in nodes:
        node.end()


# One node


def adopts(bed, kind):
    nodes = up(bed.hosts[:1])
    nodes[0].ask(f"adopt {24 * MIB} 0 {kind}")
    end(nodes)


def adopts_much(bed):
    """More than it takes steps for, and than a memslot may have segments."""
    nodes = up(bed.hosts[:1])
    nodes[0].ask(f"adopt {1100 * MIB} 0 anon")
    end(nodes)


def refuses(bed):
    if bed.hosts[0].start("test -e /proc/sys/vm/nr_hugepages").wait(10):
        print("# this kernel has no hugetlbfs, so no memory that is refused")
        return
    nodes = up(bed.hosts[:1])
    bed.hosts[0].run("echo 4 >/proc/sys/vm/nr_hugepages")
    nodes[0].tell(f"adopt {4 * MIB} 0 huge")
    answer = nodes[0].answer()[2]
    assert "not supported" in answer, answer
    assert "hugetlb" in bed.hosts[0].dmesg()
    end(nodes)


def alone(bed):
    nodes = up(bed.hosts[:1])
    share(nodes, 64)
    for test in ("atomics", "random", "locked", "pages", "threads"):
        nodes[0].ask(f"test {test} 20 1")
    nodes[0].ask("protect")
    nodes[0].ask("direct /out/direct 64")
    assert nodes[0].stat()["faults"] == nodes[0].stat()["faults_local"]
    end(nodes)


# Several nodes


def changes(node, before):
    return {key: value - before.get(key, 0) for key, value in node.stat().items() if value != before.get(key, 0)}


def hammered(nodes, name, rounds):
    before = [node.stat() for node in nodes]
    print("#", together(nodes, f"test {name} {rounds} 1", 120))
    for node, old in zip(nodes, before):
        print("#", changes(node, old), flush=True)


def direct_io(nodes):
    for node in nodes[1:]:
        node.tell("test threads 200 1")
    nodes[0].ask("direct /out/direct 64")
    nodes[0].ask("test threads 200 1", 120)
    for node in nodes[1:]:
        assert node.answer(120)[1] == "ok"
    together(nodes, "protect")


def reads_after_write(nodes):
    """What the second node reads after the first has written 2 over what it had read before."""
    nodes[0].ask("write 60 1")
    assert nodes[1].ask("read 60") == "1"
    nodes[0].ask("write 60 2")
    return nodes[1].ask("read 60")


def metadata_is_small(node):
    """The tests touch at least 1060 pages of the object; prefetch may begin a group of 64 on each side,
    and what is touched first at its home comes with the 512 around it."""
    info, large = node.ask("info"), node.stat().get("large_pages", 0)
    print("#", info)
    assert int(info.split()[5]) <= 64 * (1060 + 2 * 64 + 512 * large), info


def stream_is_prefetched(nodes, start, pages=200):
    """Far fewer faults than pages wait, fewer than pages are taken at all, and what comes is right and goes again."""
    nodes[0].ask(f"time write {pages} {start}")
    before = nodes[1].stat()
    print("#", nodes[1].ask(f"time readmiss {pages} {start}"))
    after = changes(nodes[1], before)
    print("#", after)
    assert after["faults_remote_read"] < pages / 4 and after["prefetches"] > pages / 2, after
    assert after["faults"] < pages / 2, after
    for page in range(start + pages // 2, start + pages // 2 + 20):
        nodes[0].ask(f"write {page} {page + 7}")
        assert nodes[1].ask(f"read {page}") == str(page + 7)


def hammers(tap, bed):
    nodes = up(bed.hosts)
    for policy, mem in ((0, 1), (1, 2)):
        share(nodes, 64, policy, mem=mem)
        for name, rounds in TESTS.items():
            with tap.case(f"{name}_on_{len(nodes)}_nodes_home_{POLICIES[policy]}"):
                hammered(nodes, name, rounds)
    with tap.case("written_page_is_read"):
        assert reads_after_write(nodes) == "2"
    with tap.case("direct_io_and_mprotect_under_load"):
        direct_io(nodes)
    with tap.case("metadata_is_at_most_64_bytes_a_page"):
        for node in nodes:
            metadata_is_small(node)
    with tap.case("stream_of_misses_is_prefetched"):
        stream_is_prefetched(nodes, 8192)
    end(nodes)


# Large pages

EXTENT = 512  # pages


def large(node):
    """KiB that are mapped as 2 MiB, and how often 2 MiB came and were split."""
    stat = node.stat()
    return int(node.ask("large")), stat.get("large_pages", 0), stat.get("large_pages_split", 0)


def stay_split(nodes, extent):
    """However its pages are used from now on, they are not mapped as a whole."""
    before, first = large(nodes[0]), extent * EXTENT
    for n, node in enumerate(nodes):
        node.ask(f"fill {n + 7} {first} {EXTENT}")
        nodes[(n + 1) % len(nodes)].ask(f"verify {n + 7} {first} {EXTENT}")
    nodes[0].ask(f"verify {len(nodes) + 6} {first} {EXTENT}")
    assert large(nodes[0]) == before, (before, large(nodes[0]))


# Streams are prefetched into the next extent, so the cases leave room between theirs.


def first_touch_is_large(nodes):
    before = nodes[0].stat()
    for extent in (8, 10, 12):
        nodes[0].ask(f"fill 1 {extent * EXTENT} {EXTENT}")
    after = changes(nodes[0], before)
    assert large(nodes[0]) == (3 * 2048, 3, 0), large(nodes[0])
    assert after["faults"] <= 3 and after["pages_resident"] == 3 * EXTENT, after


def read_is_large_too(nodes):
    """Read first, then written: the kernel drops the entry and takes it again, writable."""
    assert nodes[0].ask(f"read {14 * EXTENT + 3}") == "0"
    assert large(nodes[0]) == (4 * 2048, 4, 0), large(nodes[0])
    nodes[0].ask(f"fill 1 {14 * EXTENT} {EXTENT}")
    nodes[0].ask(f"verify 1 {14 * EXTENT} {EXTENT}")
    assert large(nodes[0]) == (4 * 2048, 4, 0), large(nodes[0])


def reader_splits(nodes):
    nodes[1].ask(f"verify 1 {8 * EXTENT + 5} 1")
    assert large(nodes[0]) == (3 * 2048, 4, 1), large(nodes[0])
    nodes[0].ask(f"verify 1 {8 * EXTENT} {EXTENT}")
    nodes[1].ask(f"verify 1 {8 * EXTENT} {EXTENT}")
    stay_split(nodes, 8)
    nodes[0].ask(f"verify 1 {10 * EXTENT} {EXTENT}")
    assert large(nodes[0]) == (3 * 2048, 4, 1), large(nodes[0])


def writer_splits(nodes):
    first = 10 * EXTENT
    nodes[1].ask(f"fill 2 {first + 100} 50")
    assert large(nodes[0]) == (2 * 2048, 4, 2), large(nodes[0])
    for part, seed in ((f"{first} 100", 1), (f"{first + 100} 50", 2), (f"{first + 150} {EXTENT - 150}", 1)):
        nodes[0].ask(f"verify {seed} {part}")
        nodes[1].ask(f"verify {seed} {part}")
    stay_split(nodes, 10)


def zero_stays_off_the_wire(nodes):
    """Of an extent that came as one page, what nobody has written is not sent."""
    first = 16 * EXTENT
    nodes[0].ask(f"fill 1 {first + 9} 1")
    assert large(nodes[0]) == (3 * 2048, 5, 2), large(nodes[0])
    before = nodes[1].stat()
    nodes[1].ask(f"verify zero {first + 10} {EXTENT - 10}")
    after = changes(nodes[1], before)
    others = after.get("regains", 0)  # of pages that nodes fought over before
    assert after.get("pages_received", 0) <= others and after["faults_zero"] >= EXTENT - 10, after
    nodes[1].ask(f"verify 1 {first + 9} 1")


def pins_are_waited_for(nodes):
    """O_DIRECT from and into large pages, while another node reads there."""
    for extent in (3, 4, 5):
        nodes[0].ask(f"fill 1 {extent * EXTENT} {EXTENT}")
    before = large(nodes[0])
    nodes[1].tell("misses 1500 1600")
    nodes[0].ask("direct /out/direct 64", 120)
    assert nodes[1].answer(120)[1] == "ok"
    assert large(nodes[0])[1:] == (before[1], before[2] + 3), (before, large(nodes[0]))
    nodes[0].ask("direct /out/direct 64", 120)
    nodes[0].ask("protect")


def room_is_made(nodes):
    """Sixteen extents of which a page each was touched, in a budget of half of them."""
    before = large(nodes[0])
    for extent in range(20, 36):
        nodes[0].ask(f"fill 1 {extent * EXTENT + 5} 1")
    assert large(nodes[0])[1] == before[1] + 16, (before, large(nodes[0]))
    held = resident(nodes[0])
    set_budget(nodes[:1], (held - 8 * EXTENT) * 4096 // MIB)
    nodes[0].ask(f"fill 1 {38 * EXTENT} 10")
    becomes_at_most(nodes[0], held - 8 * EXTENT + 64)
    print("#", held, nodes[0].stat(), flush=True)
    for extent in range(20, 36):
        nodes[0].ask(f"verify 1 {extent * EXTENT + 5} 1")
        nodes[0].ask(f"verify zero {extent * EXTENT + 6} 20")
    set_budget(nodes[:1], 0)


def home_moves(nodes):
    nodes[0].ask(f"fill 1 {40 * EXTENT} {EXTENT}")
    before = large(nodes[0])
    nodes[0].ask("rehome 1 40 1 2")
    assert large(nodes[0]) == (before[0] - 2048, before[1], before[2] + 1), (before, large(nodes[0]))
    stay_split(nodes, 40)


def can_be_off(nodes):
    set_large(nodes, False)
    before = large(nodes[0])
    small = nodes[0].ask(f"time write {2 * EXTENT} {44 * EXTENT}")
    assert large(nodes[0]) == before, (before, large(nodes[0]))
    set_large(nodes, True)
    print("# first touch:", small, "as large pages:", nodes[0].ask(f"time write {2 * EXTENT} {46 * EXTENT}"), flush=True)
    assert large(nodes[0])[1:] == (before[1] + 2, before[2]), (before, large(nodes[0]))


def split_under_fire(nodes):
    """All nodes count in pages of all extents of another object, which are large at first."""
    share(nodes, 32, mem=2)
    nodes[0].ask("fill 1")
    before = large(nodes[0])
    assert before[0] == 16 * 2048, before
    together(nodes, "mix 3000 1", 240)
    sums = [node.ask("sums", 120) for node in nodes]
    assert len(set(sums)) == 1 and int(sums[0]) > 500 * len(nodes), sums
    print("#", before, large(nodes[0]), nodes[0].stat(), flush=True)
    assert large(nodes[0]) == (0, before[1], before[2] + 16), large(nodes[0])
    for name in ("threads", "locked", "random"):
        together(nodes, f"test {name} 100 1", 120)


def killed_with_large_pages(nodes):
    share(nodes, 16, mem=3)
    nodes[0].ask("fill 1")
    nodes[1].tell("fill 2 0 1024")
    end(nodes)


def set_large(nodes, yes):
    for node in nodes:
        node.host.run(f"echo {'Y' if yes else 'N'} >/sys/module/dvmm_dsm/parameters/large_pages")


def larges(tap, bed):
    nodes = up(bed.hosts)
    set_large(nodes, True)
    share(nodes, 96)
    for title, act in (
            ("first_touch_comes_as_a_large_page", first_touch_is_large),
            ("first_read_comes_as_a_large_page", read_is_large_too),
            ("large_page_is_split_for_a_reader", reader_splits),
            ("large_page_is_split_for_a_writer", writer_splits),
            ("untouched_part_of_a_large_page_is_not_sent", zero_stays_off_the_wire),
            ("pinned_large_page_is_waited_for", pins_are_waited_for),
            ("large_pages_are_split_for_room", room_is_made),
            ("home_of_a_large_page_moves", home_moves),
            ("large_pages_can_be_off", can_be_off),
            ("large_pages_are_split_under_load", split_under_fire),
            ("killed_program_leaves_no_large_page", killed_with_large_pages)):
        with tap.case(title):
            act(nodes)


# Memory that is larger than a node may hold


def set_budget(nodes, megabytes):
    for node in nodes:
        node.host.run(f"echo {megabytes} >/sys/module/dvmm_dsm/parameters/vm_budget_mb")


def resident(node):
    return node.stat().get("pages_resident", 0)


def becomes_at_most(node, pages, seconds=30):
    for _ in range(seconds * 5):
        if resident(node) <= pages:
            return
        node.host.run("sleep 0.2")
    raise AssertionError(f"{node.host}: {resident(node)} pages are resident, not {pages}: {node.stat()}")


def all_of_it(nodes, first_seed):
    """Each node in turn writes the whole memory, the next one reads it."""
    for n, node in enumerate(nodes):
        seed = first_seed + n
        print("# write", node.ask(f"fill {seed}", 300), "read",
              nodes[(n + 1) % len(nodes)].ask(f"verify {seed}", 300), flush=True)


def pooled(tap, bed):
    nodes = up(bed.hosts)
    total = 8 * len(nodes)  # 8 MiB have their home at each node
    share(nodes, total, 1)
    pages = {megabytes: megabytes * MIB // 4096 for megabytes in (8, 10, total)}
    with tap.case("without_a_budget_a_node_holds_all"):
        print("# write", nodes[0].ask("fill 1", 300), "read", nodes[1].ask("verify 1", 300), flush=True)
        for node in nodes[:2]:
            assert resident(node) == pages[total], node.stat()
    with tap.case("a_host_short_of_memory_gets_copies_back"):
        nodes[1].host.run("echo 2 >/proc/sys/vm/drop_caches")
        becomes_at_most(nodes[1], pages[total] * 3 // 4)
        assert resident(nodes[0]) == pages[total], nodes[0].stat()
        nodes[1].ask("verify 1", 300)
        print("#", nodes[1].stat(), flush=True)
    for budget, seed in ((10, 10), (8, 20)):
        with tap.case(f"memory_of_{total}_mib_in_{budget}_mib_of_each_of_{len(nodes)}_nodes"):
            set_budget(nodes, budget)
            all_of_it(nodes, seed)
            for node in nodes:
                becomes_at_most(node, pages[budget] + 64)
                print("#", node.stat(), flush=True)
    with tap.case("accesses_of_all_nodes_under_a_budget"):
        for name in ("random", "atomics", "locked"):
            print("#", together(nodes, f"test {name} 100 1", 120), flush=True)
        nodes[0].ask("direct /out/direct 64")
    end(nodes)


# What can be seen


def contended_page_is_on_top(nodes):
    """Behind a thousand pages that were taken once; the counts are right, and who fights is known."""
    nodes[0].ask("fill 1", 120)
    nodes[1].ask("verify 1", 120)
    for node in nodes:
        trace.record(node.host)
    together(nodes, "test pingpong 40 1", 120)
    tops = [node.top() for node in nodes]
    for node, top in zip(nodes, tops):
        print(f"# {node.host}", *top[:3], sep="\n#   ", flush=True)
    for top in tops[:2]:
        assert len(top) <= 64, len(top)
        assert top[0]["page"] == "1:2" and top[0]["nodes"] & 6 == 6 and top[0]["home"] == 1, top[0]
        assert top[0]["takes"] + top[0]["inv"] >= 40 and top[0]["heat"], top[0]
        assert top[0]["waits"] and top[0]["ns"], top[0]


def story_is_complete(nodes):
    """Of what was recorded since, told by two nodes (or more)."""
    os.makedirs(f"{BUILD}/traces", exist_ok=True)
    files = [shutil.copy(trace.recorded(node.host), f"{BUILD}/traces/story-{node.host}.trace") for node in nodes]
    done = subprocess.run(["scripts/page-story", *files, "--page", "1:2"], check=False, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    with open(f"{BUILD}/traces/story.txt", "w", encoding="utf-8") as out:
        out.write(done.stdout)
    lines = done.stdout.splitlines()
    print("", *lines[:12], *lines[-4:], sep="\n# ", flush=True)
    assert done.returncode == 0, "the story is not complete"
    handed_over = [line for line in lines if " Data " in line]
    assert len(handed_over) >= 80, len(handed_over)


def seen(tap, bed):
    nodes = up(bed.hosts)
    share(nodes, 4)
    with tap.case("page_that_nodes_fight_over_is_on_top"):
        contended_page_is_on_top(nodes)
    with tap.case("story_of_a_page_is_complete"):
        story_is_complete(nodes)
    end(nodes)
# Homes


def homed(node):
    return int(node.ask("info").split()[9])


def named_homes(nodes, mem):
    """Of 16 MiB, 6 from 4 on have their home at the second node, the rest at the origin."""
    share(nodes, 16, 0, mem=mem, homes=f"{4 * MIB} {6 * MIB} 2")
    assert homed(nodes[1]) == 6 * MIB and homed(nodes[0]) == 10 * MIB, [homed(node) for node in nodes]
    before = nodes[1].stat()
    nodes[1].ask(f"time write {1 * MIB // 4096} {4 * MIB // 4096}")
    after = changes(nodes[1], before)
    assert after["faults_local"] and "faults_remote_write" not in after, after


def moved_by(nodes, mem):
    """Homes go round under the accesses of all nodes; no access is lost and none is seen twice."""
    before = [node.stat() for node in nodes]
    nodes[0].ask(f"roam {mem} 11")
    together(nodes, "mix 4000 1", 240)
    answer = nodes[0].ask("roamed", 120)
    print("#", answer)
    assert int(answer.split()[1]) >= 40, answer
    sums = [node.ask("sums", 120) for node in nodes]
    assert len(set(sums)) == 1 and int(sums[0]) > 1000 * len(nodes), sums
    waited = 0
    for node, old in zip(nodes, before):
        after = changes(node, old)
        print("#", after, flush=True)
        waited += after.get("requests_moved", 0)
        assert after["homes_come"] >= 8, after
    assert waited, "nobody asked while a home moved: no load"


def emptied(nodes, mem):
    """A node that is to leave gives all its homes away, of all objects; what was there still is."""
    nodes[0].ask("fill 3", 120)
    nodes[0].ask("rehome 0 0 0 2", 120)
    assert homed(nodes[0]) == 0
    answer = nodes[0].ask("rehome 0 0 0 1 2", 120)
    assert homed(nodes[1]) == 0 and int(answer.split()[1]) >= 8, answer
    for node in nodes:
        node.ask("verify 3", 120)
    before = nodes[0].stat()
    nodes[0].ask("fill 4", 120)
    assert "fetch_hops_3" not in changes(nodes[0], before), "home was asked elsewhere"
    nodes[1].ask("verify 4", 120)


def refused_moves(nodes, mem):
    for command in (f"rehome {mem} 0 0 9", f"rehome {mem} 8 1 2", f"rehome {mem} 0 9 2", f"rehome {mem + 1} 0 0 2", "rehome 0 1 1 2"):
        nodes[0].tell(command)
        assert nodes[0].answer()[1] == "failed", command
    nodes[1].tell(f"rehome {mem} 0 0 2")
    assert "not supported" in nodes[1].answer()[2]
    nodes[1].ask("verify 4", 120)


def homes(tap, bed):
    nodes = up(bed.hosts)
    for title, act in (
            ("memory_has_its_home_where_it_was_named", named_homes),
            ("homes_move_under_load", moved_by),
            ("a_node_gives_all_its_homes_away", emptied),
            ("wrong_moves_are_refused", refused_moves)):
        with tap.case(title):
            act(nodes, 1)
    end(nodes)


# Traces


def traced(bed):
    nodes = up(bed.hosts)
    share(nodes, 4, 1)
    for node in nodes:
        trace.begin(node.host)
    nodes[0].ask("fill 5", 120)
    nodes[1].ask("verify 5", 120)
    name = f"{BUILD}/traces/fill-and-verify.trace.gz"
    trace.compare([trace.end(node.host) for node in nodes], name)
    with gzip.open(name, "rt", encoding="utf-8") as file:
        lines = [line.split() for line in file]
    writers = [words[1] for words in lines if words[0] == "w"]
    readers = [words[1] for words in lines if words[0] == "r"]
    assert len(writers) == len(readers) == 1024, (len(writers), len(readers))
    assert len(set(writers)) == len(set(readers)) == 1 and writers[0] != readers[0]
    end(nodes)


def planted_bug(bed):
    nodes = up(bed.hosts, dsm=f"{BUILD}/bug/{bed.hosts[0].release}/dvmm-dsm.ko")
    share(nodes, 8)
    for node in nodes:
        node.host.run("echo 60 > /sys/module/dvmm_dsm/parameters/bug_page")
    assert reads_after_write(nodes) == "1", "the page was not stale"
    end(nodes)


# Loss


def under_load(bed, needed=()):
    """All nodes at it, and pages on their way."""
    nodes = up(bed.hosts, needed=needed)
    share(nodes, 32, 1)
    for node in nodes:
        node.tell(HAMMER)
    for node in nodes:
        node.host.run(f"timeout 30 sh -c 'until [ $(awk \"{{ print \\$14 + \\$15 }}\" /proc/{node.pid()}/stat) -gt 20 ]; "
                      "do sleep 0.1; done'", 40)
    return nodes


def vm_killed(bed):
    nodes = under_load(bed)
    nodes[0].host.run(f"kill -USR1 {nodes[0].pid()}")
    assert "SIGBUS" in nodes[0].answer(20)[2]
    end(nodes)


def program_killed(bed):
    """The others are not told here (a layer above does): their faults wait, killable."""
    nodes = under_load(bed)
    nodes[1].end()
    end(nodes[:1] + nodes[2:])


def host_killed(bed):
    nodes = under_load(bed, needed=[len(bed.hosts)])
    nodes[-1].host.kill()
    for node in nodes[:-1]:
        assert "SIGBUS" in node.answer(60)[2]
        assert "failed: lost node" in node.host.dmesg()
    end(nodes[:-1])


def main(kernel="6.1", hosts="2", what="all"):
    tap = Tap()
    build(kernel)
    with Testbed(hosts=int(hosts), kernel=kernel, cpus=1, mem="1G") as bed:
        if what in ("homes", "large"):
            (homes if what == "homes" else larges)(tap, bed)
            tap.end()
            return
        if what == "pooled":
            pooled(tap, bed)
            with tap.case("accesses_are_traced_and_compared"):
                traced(bed)
            tap.end()
            return
        if what == "seen":
            seen(tap, bed)
            tap.end()
            return
        for kind in ("anon", "filled-anon", "filled-memfd"):
            with tap.case(f"adoption_keeps_contents_{kind}"):
                adopts(bed, kind)
        with tap.case("much_memory_is_one_piece"):
            adopts_much(bed)
        with tap.case("unsupported_memory_is_refused"):
            refuses(bed)
        with tap.case("one_node_shares_with_itself"):
            alone(bed)
        hammers(tap, bed)
        homes(tap, bed)
        larges(tap, bed)
        pooled(tap, bed)
        seen(tap, bed)
        for title, act in (
                ("accesses_are_traced_and_compared", traced),
                ("skipped_invalidation_is_seen", planted_bug),
                ("kill_ends_waiting_faults", vm_killed),
                ("killed_program_leaves_nothing", program_killed),
                ("lost_node_that_is_needed_ends_the_vm", host_killed)):
            with tap.case(title):
                act(bed)
    tap.end()


main(*sys.argv[1:])
