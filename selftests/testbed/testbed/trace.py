# SPDX-License-Identifier: GPL-2.0-or-later
"""Accesses of a VM, recorded by tracepoints on its hosts and compared with another protocol."""

import gzip
import os
import re
import subprocess
import sys

from . import kernels

TRACING = "/sys/kernel/tracing"
PROTO = f"{kernels.TOP}/selftests/proto"
HEAD = b"# SPDX-License-Identifier: GPL-2.0-only\n# Recorded by selftests/testbed/traces.py\n"


def begin(host):
    """Requests, where they are served, and local misses, which tell the node: see trace2proto."""
    host.run(f"mountpoint -q {TRACING} || mount -t tracefs tracefs {TRACING}; cd {TRACING}; echo 65536 >buffer_size_kb; "
             "echo 'event < 0x16 || event > 0x40' >events/dvmm_dsm/dsm_event/filter; "
             "echo 1 >events/dvmm_dsm/dsm_wish/enable; echo 1 >events/dvmm_dsm/dsm_event/enable")


def end(host):
    """The text of it, as a file of this machine. Fails when some of it is gone."""
    host.run(f"cd {TRACING}; echo 0 >events/dvmm_dsm/enable; cat trace >/out/trace.txt; echo >trace", 300)
    name = os.path.join(host.out_dir, "trace.txt")
    with open(name, encoding="utf-8", errors="replace") as file:
        kept, written = re.search(r"entries-in-buffer/entries-written: (\d+)/(\d+)", file.read(2000)).groups()
    assert kept == written, f"{host}: only {kept} of {written} entries are left"
    return name


def record(host):
    """All messages about pages, for a story: see scripts/page-story."""
    host.run("scripts/trace-record start")


def wait_recorded(host, page, messages, timeout=60):
    """Until so many messages about the page, as `dvmm mem top` names it, are in the recording."""
    mem, index = page.split(":")
    host.run(f"timeout {timeout} sh -c 'until [ $(grep -c \"mem={mem} page={index} \" {TRACING}/instances/dvmm/trace) "
             f"-ge {messages} ]; do sleep 0.2; done'", timeout + 20)


def recorded(host):
    """The recording, as a file of this machine."""
    host.run("scripts/trace-record stop >/out/story.trace", 120)
    return os.path.join(host.out_dir, "story.trace")


def compare(files, trace):
    """Makes the access trace, packed; the same accesses by our rules and by Ivy's. Fails when ours wait for more."""
    subprocess.run(["make", "-s", "-C", PROTO, "all"], check=True, stdout=sys.stderr)
    os.makedirs(os.path.dirname(trace), exist_ok=True)
    text = subprocess.run([f"{PROTO}/trace2proto", *files], check=True, stdout=subprocess.PIPE).stdout
    with open(trace, "wb") as out:
        out.write(gzip.compress(HEAD + text, mtime=0))
    result = subprocess.run([f"{PROTO}/build/proto", "compare", trace], check=False, text=True, stdout=subprocess.PIPE)
    print("".join(f"# {line}\n" for line in result.stdout.splitlines()), end="", flush=True)
    assert result.returncode == 0, "accesses wait for more messages than Ivy's"
