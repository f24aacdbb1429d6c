# SPDX-License-Identifier: GPL-2.0-or-later
"""The checkers of a debug kernel see what they are there for: planted.py KERNEL."""

import os
import sys

from testbed import HostDied, Testbed, Unclean
from testbed.tap import Tap

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

# bug: the words that tell it; whether it ends the host. Those that do not come first.
BUGS = {
    "leak": ("unreferenced object", False),
    "sleep_in_atomic": ("sleeping function called from invalid context", False),
    "lock_order": ("possible circular locking dependency", False),
    "out_of_bounds": ("array-index-out-of-bounds", True),
    "use_after_free": ("KASAN: slab-use-after-free|KASAN: use-after-free", True),
}


def what_is_seen(host, bug):
    """What check_debug() or the host's last words say, and whether the host died."""
    if not host.is_alive():
        host.power_on()
        host.wait_ready()
    try:
        host.run(f"insmod {TOP}/build/selftests/debug/{host.release}/planted.ko bug={bug} && rmmod planted")
        host.check_debug()
    except (HostDied, Unclean) as found:
        return str(found), isinstance(found, HostDied)
    return "", False


def main(kernel="6.1-debug"):
    tap = Tap()
    with Testbed(hosts=1, kernel=kernel, mem="1G") as bed:
        for bug, (words, is_deadly) in BUGS.items():
            with tap.case(f"{bug}_is_seen"):
                text, died = what_is_seen(bed.hosts[0], bug)
                assert any(word in text for word in words.split("|")), text[-3000:] or "nothing was seen"
                assert died == is_deadly, f"the host {'died' if died else 'lives'}"
        # Else the testbed would find what was planted.
        bed.hosts[0].kill()
    tap.end()


main(*sys.argv[1:])
