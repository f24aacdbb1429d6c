# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands on an emulated host: the test's end of controld.c, and their life as jobs."""

import re
import signal
import socket
import struct
import threading
import time

READY, START, START_TTY, INPUT, SIGNAL, OUTPUT, ERROR, EXIT = range(1, 9)
HEADER = struct.Struct("<III")
MAX_PAYLOAD = 65536


class Deadline(Exception):
    """Something did not happen in time."""


class CommandFailed(Exception):
    """A command ended with another status than 0."""


class Job:
    """One command on a host. Its output stays; waits look from where the last one ended."""

    def __init__(self, control, ident, command, on_data=None):
        self.control, self.ident, self.command = control, ident, command
        self.on_data = on_data
        self.stdout, self.stderr = b"", b""
        self.status = None          # exit status; 128 + signal, as a shell has it
        self.seen = 0               # how far wait_line() has looked

    def __repr__(self):
        return f"{self.control.name}: {self.command!r}"

    @property
    def output(self):
        return self.stdout.decode(errors="replace")

    @property
    def errors(self):
        return self.stderr.decode(errors="replace")

    def wait(self, timeout=60):
        """Waits for the end; returns the exit status."""
        self.control.wait_until(lambda: self.status is not None, timeout, f"end of {self}",
                                lambda: tail(self.stdout + self.stderr))
        return self.status

    def check(self, timeout=60):
        """Waits for success; returns stdout."""
        if self.wait(timeout):
            raise CommandFailed(f"{self} ended with {self.status}:\n{tail(self.stdout + self.stderr)}")
        return self.output

    def wait_line(self, pattern, timeout=60):
        """Waits for a line of stdout that matches; returns the match. Fails when the job ends without."""
        search = re.compile(pattern, re.MULTILINE)
        found = []

        def look():
            # Only whole lines, so that $ and greedy groups mean what they say.
            end = len(self.stdout) if self.status is not None else self.stdout.rfind(b"\n") + 1
            match = search.search(self.stdout[self.seen:end].decode(errors="replace"))
            if match:
                found.append(match)
                self.seen += len(match.string[:match.end()].encode(errors="replace"))
            return match or self.status is not None

        self.control.wait_until(look, timeout, f"/{pattern}/ from {self}",
                                lambda: tail(self.stdout + self.stderr))
        if not found:
            raise CommandFailed(f"{self} ended with {self.status} before /{pattern}/:\n"
                                f"{tail(self.stdout + self.stderr)}")
        return found[0]

    def send(self, data):
        """Gives the command input; b'' closes it."""
        data = data.encode() if isinstance(data, str) else data
        for at in range(0, max(len(data), 1), 4096):
            self.control.send(self.ident, INPUT, data[at:at + 4096])

    def kill(self, sig=signal.SIGKILL):
        """Signals the command and all it started in its process group."""
        self.control.send(self.ident, SIGNAL, struct.pack("<I", sig))

    def took(self, kind, payload):
        if kind == EXIT:
            status = struct.unpack("<I", payload)[0]
            self.status = 128 + (status & 0x7f) if status & 0x7f else status >> 8
        elif kind == OUTPUT:
            self.stdout += payload
        else:
            self.stderr += payload
        if self.on_data and kind != EXIT:
            self.on_data(payload)


def tail(data, size=4000):
    text = data.decode(errors="replace")
    return text if len(text) <= size else "[...]" + text[-size:]


class Control:
    """The frames of one host. A thread reads; any thread may send or wait."""

    def __init__(self, name, sock, why_dead, slowness=1):
        self.name, self.sock, self.why_dead, self.slowness = name, sock, why_dead, slowness
        self.changed = threading.Condition()
        self.jobs, self.next_ident = {}, 1
        self.is_ready, self.is_closed = False, False
        self.send_lock = threading.Lock()
        threading.Thread(target=self.read_frames, daemon=True, name=f"{name}-control").start()

    def start(self, command, tty=False, on_data=None):
        with self.changed:
            job = Job(self, self.next_ident, command, on_data)
            self.jobs[job.ident] = job
            self.next_ident += 1
        self.send(job.ident, START_TTY if tty else START, command.encode())
        return job

    def send(self, ident, kind, payload):
        if len(payload) > MAX_PAYLOAD:
            raise ValueError(f"{self.name}: a command of {len(payload)} bytes is too long")
        try:
            with self.send_lock:
                self.sock.sendall(HEADER.pack(ident, kind, len(payload)) + payload)
        except OSError as err:
            raise self.why_dead() from err

    def wait_until(self, is_so, timeout, what, context=lambda: ""):
        """The one wait of the testbed: for a condition, a deadline or the host's death."""
        timeout *= self.slowness
        end = time.monotonic() + timeout
        with self.changed:
            while not is_so():
                if self.is_closed:
                    raise self.why_dead()
                left = end - time.monotonic()
                if left <= 0:
                    raise Deadline(f"{self.name}: no {what} in {timeout:g} s\n{context()}".rstrip())
                self.changed.wait(left)

    def wait_ready(self, timeout):
        self.wait_until(lambda: self.is_ready, timeout, "control daemon")

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def receive(self, size):
        data = b""
        while len(data) < size:
            part = self.sock.recv(size - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def read_frames(self):
        try:
            while True:
                ident, kind, size = HEADER.unpack(self.receive(HEADER.size))
                payload = self.receive(size)
                with self.changed:
                    if kind == READY:
                        self.is_ready = True
                    elif ident in self.jobs:
                        self.jobs[ident].took(kind, payload)
                    self.changed.notify_all()
        except (EOFError, OSError):
            pass
        with self.changed:
            self.is_closed = True
            self.changed.notify_all()
