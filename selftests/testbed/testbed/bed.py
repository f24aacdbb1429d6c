# SPDX-License-Identifier: GPL-2.0-or-later
"""A set of hosts on one segment, and the promise that nothing of it stays behind."""

import fcntl
import os
import shutil
import signal
import sys
import tempfile
import time

from . import kernels
from .host import Host, OuterQemuAborted
from .lan import Lan


class Testbed:
    """with Testbed(hosts=2, kernel='6.1') as bed: bed.hosts[0].run('uname -r')

    kernel may be a list, one for each host. Leaving the block, in whatever way,
    ends every process it started. devices: more of QEMU's, as "i6300esb". Without out_dir the logs are kept only when the
    block fails or keep_logs is set.
    """

    def __init__(self, hosts=2, kernel="6.1", cpus=1, mem="2G", out_dir=None, modules=None, append="", devices=()):
        self.out_dir = os.path.abspath(out_dir) if out_dir else tempfile.mkdtemp(prefix="dvmm-testbed-")
        os.makedirs(self.out_dir, exist_ok=True)
        self.keep_logs = bool(out_dir)
        self.modules, self.append, self.devices = modules, append, devices
        per_host = kernel if isinstance(kernel, list) else [kernel] * hosts
        self.releases = [kernels.find(version) for version in per_host]
        self.sizes = (cpus, mem)
        self.hosts, self.lan = [], None
        self.turn = None

    def __enter__(self):
        turn_sigterm_into_exit()
        try:
            self.power_on()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, failure, *_):
        try:
            if not failure:
                for host in self.hosts:
                    host.check_debug()
        except BaseException:
            failure = True
            raise
        finally:
            self.leave(failure)

    def leave(self, failure):
        self.close()
        if failure:
            print(f"# logs of the hosts: {self.out_dir}", file=sys.stderr, flush=True)
        elif not self.keep_logs:
            shutil.rmtree(self.out_dir)

    def power_on(self):
        self.turn = wait_for_turn()
        kernels.tool("controld", "-static", "-lutil")
        began = time.monotonic()
        self.lan = Lan(len(self.releases))
        for n, release in enumerate(self.releases, 1):
            host = Host(self, n, release, *self.sizes, self.lan.plugs[n - 1])
            self.hosts.append(host)
            host.power_on()
        for host in self.hosts:
            host.wait_ready()
        self.boot_seconds = time.monotonic() - began

    def close(self):
        for host in self.hosts:
            host.release_all()
        if self.lan:
            self.lan.close()
        self.hosts, self.lan = [], None
        if self.turn:
            self.turn.close()
            self.turn = None

    def module_dir(self, release):
        return os.path.abspath(self.modules) if self.modules else f"{kernels.TOP}/build/{release}"

    def run_all(self, command, timeout=60, show=False):
        """The same command on every host at once; returns their stdouts."""
        jobs = [host.start(command, show=show) for host in self.hosts]
        return [job.check(timeout) for job in jobs]


def wait_for_turn():
    """One testbed at a time: several would starve each other's hosts. The lock ends with the process.

    A caller that holds it for several testbeds says so by DVMM_HAS_TURN.
    """
    if os.environ.get("DVMM_HAS_TURN"):
        return None
    os.makedirs(kernels.CACHE, exist_ok=True)
    lock = open(f"{kernels.CACHE}/testbed.lock", "w", encoding="ascii")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("# waiting for another testbed to end", file=sys.stderr, flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def turn_sigterm_into_exit():
    """SIGTERM and SIGHUP unwind the stack, so that `with` cleans up."""
    def leave(number, _frame):
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, leave)


def run_scenario(scenario, *args, **kwargs):
    """Runs a function; once more when the emulator, not the product, failed."""
    try:
        return scenario(*args, **kwargs)
    except OuterQemuAborted as aborted:
        print(f"# {aborted}\n# not a failure of the product: trying once more", file=sys.stderr, flush=True)
        return scenario(*args, **kwargs)
