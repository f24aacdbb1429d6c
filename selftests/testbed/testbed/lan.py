# SPDX-License-Identifier: GPL-2.0-or-later
"""The Ethernet segment between the hosts: starts lan.c and tells it what to break."""

import socket
import subprocess

from . import kernels, process


class Lan:
    def __init__(self, nr_hosts):
        pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(nr_hosts)]
        self.plugs = [theirs for _, theirs in pairs]    # one for each host's QEMU
        ours = [mine for mine, _ in pairs]
        for sock in ours + self.plugs:
            for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                sock.setsockopt(socket.SOL_SOCKET, option, 4 << 20)
        fds = [sock.fileno() for sock in ours]
        self.process = process.spawn([kernels.tool("lan"), *map(str, fds)], pass_fds=fds, text=True,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=1)
        for sock in ours:
            sock.close()

    def tell(self, *words):
        """One order; back when it is in force."""
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        if self.process.stdout.readline() != "ok\n":
            raise ValueError(f"lan: {words}")

    def close(self):
        process.end(self.process)
        self.process.stdin.close()
        self.process.stdout.close()
        for sock in self.plugs:
            sock.close()
