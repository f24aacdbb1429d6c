# SPDX-License-Identifier: GPL-2.0-or-later
"""Emulated hosts for tests of dvmm: see ../README.md."""

from .bed import Testbed, run_scenario
from .control import CommandFailed, Deadline
from .host import Host, HostDied, OuterQemuAborted, Unclean

__all__ = ["Testbed", "Host", "run_scenario", "CommandFailed", "Deadline", "HostDied", "OuterQemuAborted",
           "Unclean"]
