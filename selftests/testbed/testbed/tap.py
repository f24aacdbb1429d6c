# SPDX-License-Identifier: GPL-2.0-or-later
"""Test results of a scenario, as TAP."""

import contextlib
import sys
import time

from .host import OuterQemuAborted


class Tap:
    """tap = Tap(); with tap.case('guest_boots_on_two_hosts'): ...; tap.end()"""

    def __init__(self):
        self.number = self.failed = 0

    @contextlib.contextmanager
    def case(self, title):
        """One promise. An exception in the block is its failure; a case cannot be left by skipping it."""
        began = time.monotonic()
        self.number += 1
        try:
            yield
        except OuterQemuAborted:
            raise
        except Exception as err:  # whatever went wrong, the next case can still run
            self.failed += 1
            print("".join(f"# {line}\n" for line in f"{type(err).__name__}: {err}".splitlines()), end="")
            print(f"not ok {self.number} - {title}", flush=True)
        else:
            print(f"ok {self.number} - {title} # {time.monotonic() - began:.0f} s", flush=True)

    def end(self):
        """Prints the plan; exits with 1 when a case failed."""
        print(f"1..{self.number}", flush=True)
        sys.exit(1 if self.failed else 0)
