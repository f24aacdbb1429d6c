# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes that cannot outlive the test."""

import ctypes
import os
import signal
import subprocess

PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None, use_errno=True)


def spawn(command, **kwargs):
    """Starts a process that dies with the calling *thread*: call it from the main one only."""
    parent = os.getpid()

    def die_with_parent():
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    # A group of its own: the terminal's Ctrl-C is for the test, which then cleans up.
    return subprocess.Popen(command, preexec_fn=die_with_parent, process_group=0, **kwargs)


def end(process):
    """Ends a process for sure and forgets it."""
    if process.poll() is None:
        process.kill()
    process.wait()
