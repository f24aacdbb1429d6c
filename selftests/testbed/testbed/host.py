# SPDX-License-Identifier: GPL-2.0-or-later
"""One emulated host: a QEMU machine with a stock kernel, and what a test does with it."""

import functools
import json
import os
import re
import signal
import socket
import subprocess

from . import kernels, process
from .control import Control, Deadline

BOOT_TIMEOUT = 180

# Lines of a host's own log that no test may leave behind.
SPLAT = re.compile(r"(WARNING: |BUG:|Oops:|Kernel panic|general protection fault|Call Trace|INFO: task .* blocked|"
                   r"soft lockup|rcu.*stall|refcount_t:|UBSAN|KASAN|INFO: trying to register|"
                   r"turning off the locking|nable to handle)")


class HostDied(Exception):
    """A host ended although nobody asked it to."""


class Unclean(Exception):
    """A debug kernel's checkers found something, or are off."""


class OuterQemuAborted(HostDied):
    """The emulator failed (SIGABRT), not the host in it: try again."""


def nested_kvm():
    """'amd' or 'intel' when this machine offers nested virtualization, else None: emulate.

    Decided by CPU flags and module parameters, never by opening /dev/kvm: some
    machines have one that hangs.
    """
    if os.environ.get("DVMM_TCG"):
        return None
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        flags = set(re.search(r"^flags\s*:(.*)$", info.read(), re.MULTILINE)[1].split())
    for vendor, flag in (("amd", "svm"), ("intel", "vmx")):
        try:
            with open(f"/sys/module/kvm_{vendor}/parameters/nested", encoding="ascii") as nested:
                if flag in flags and nested.read().strip() in ("Y", "1") and os.access("/dev/kvm", os.W_OK):
                    return vendor
        except OSError:
            pass
    return None


@functools.cache
def tsc_append():
    """An emulated TSC is this machine's, but a busy machine's hosts cannot measure it: tell them."""
    return f"tsc_early_khz={subprocess.check_output([kernels.tool('tsc')], text=True).strip()}"


def debug_append():
    """A debug kernel's own: what costs time is on here and nowhere else."""
    return "kmemleak=on hung_task_panic=1 testbed.slowness=" + str(kernels.DEBUG_SLOWNESS)


def debug_mem(mem):
    """Room for shadow memory, quarantine and records beside what the test wants."""
    number, unit = re.fullmatch(r"(\d+)([MG])", str(mem)).groups()
    return f"{2 * int(number)}{unit}"


class LinePrinter:
    """Shows output as it comes, by whole lines, each with its host's name."""

    def __init__(self, name):
        self.name, self.rest = name, b""

    def __call__(self, payload):
        *lines, self.rest = (self.rest + payload).split(b"\n")
        for line in lines:
            print(f"{self.name}: {line.decode(errors='replace')}", flush=True)


class Host:
    """Booted by Testbed; n counts from 1, the address is 10.77.0.<n>."""

    def __init__(self, bed, n, release, cpus, mem, plug):
        self.bed, self.n, self.release, self.cpus, self.mem, self.plug = bed, n, release, cpus, mem, plug
        self.name, self.address = f"host{n}", f"10.77.0.{n}"
        self.is_debug = kernels.is_debug(release)
        self.out_dir = os.path.join(bed.out_dir, self.name)     # /out inside the host
        self.serial = os.path.join(bed.out_dir, f"{self.name}.log")
        self.qemu = self.control = self.qmp_file = None
        os.makedirs(self.out_dir, exist_ok=True)

    def __repr__(self):
        return self.name

    # Life

    def power_on(self):
        """Starts booting; wait_ready() says when it is up."""
        control, control_theirs = socket.socketpair()
        qmp, qmp_theirs = socket.socketpair()
        fds = (control_theirs.fileno(), qmp_theirs.fileno(), self.plug.fileno())
        with open(f"{self.serial}.qemu", "ab") as errors:
            self.qemu = process.spawn(self.command(*fds), pass_fds=fds, stdin=subprocess.DEVNULL,
                                      stdout=errors, stderr=errors)
        control_theirs.close()
        qmp_theirs.close()
        self.is_wanted = True
        self.qmp_file = qmp.makefile("rw", encoding="utf-8")
        qmp.close()
        self.control = Control(self.name, control, self.why_dead, kernels.slowness(self.release))

    def command(self, control_fd, qmp_fd, lan_fd):
        vendor = nested_kvm()
        accel = ["-accel", "kvm", "-cpu", "host"] if vendor else ["-accel", "tcg,thread=multi", "-cpu", "max"]
        append = " ".join([
            "console=ttyS0 loglevel=5 panic=-1 oops=panic panic_on_warn=1 tsc=reliable no_timer_check mitigations=off",
            f"testbed.kernel={self.release} testbed.cache={kernels.CACHE} testbed.tree={kernels.tree(self.release)} testbed.top={kernels.TOP}",
            f"testbed.host={self.n} testbed.svm={vendor or 'amd'} net.ifnames=0", self.bed.append,
            "" if vendor else tsc_append(), debug_append() if self.is_debug else ""])
        return ["qemu-system-x86_64", *accel, "-M", "q35", "-name", self.name,
                "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                "-smp", str(self.cpus), "-m", debug_mem(self.mem) if self.is_debug else str(self.mem),
                "-kernel", kernels.image(self.release), "-initrd", kernels.host_initramfs(self.release),
                "-append", append,
                "-chardev", f"file,id=serial,path={self.serial},append=on", "-serial", "chardev:serial",
                "-chardev", f"socket,id=qmp,fd={qmp_fd}", "-mon", "chardev=qmp,mode=control",
                "-device", "virtio-serial-pci",
                "-chardev", f"socket,id=control,fd={control_fd}", "-device", "virtserialport,chardev=control,name=control",
                "-fsdev", "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap",
                "-device", "virtio-9p-pci,fsdev=root,mount_tag=root",
                "-fsdev", f"local,id=out,path={self.out_dir},security_model=none",
                "-device", "virtio-9p-pci,fsdev=out,mount_tag=out",
                *(word for device in self.bed.devices for word in ("-device", device)),
                "-netdev", f"socket,id=lan,fd={lan_fd}",
                "-device", f"virtio-net-pci,netdev=lan,mac=52:54:00:77:00:{self.n:02x},host_mtu=9000,romfile="]

    def wait_ready(self, timeout=BOOT_TIMEOUT):
        self.control.wait_ready(timeout)
        if "host-init: FAILED" in self.log():
            raise HostDied(f"{self.name} did not come up:\n{self.log_tail()}")

    def kill(self):
        """Pulls the plug (SIGKILL for QEMU): to its peers the host is gone this instant."""
        self.is_wanted = False
        process.end(self.qemu)

    def power_off(self, timeout=60):
        """Orderly: the kernel powers off."""
        self.is_wanted = False
        self.start("sync; busybox poweroff -f")
        try:
            self.qemu.wait(timeout)
        except subprocess.TimeoutExpired as err:
            raise Deadline(f"{self.name}: no power-off in {timeout} s") from err

    def wait_watchdog(self, timeout):
        """Until its watchdog (devices=["i6300esb"]) resets it; it stays off. After a qmp() of any kind."""
        self.is_wanted = False
        try:
            self.qemu.wait(timeout)
        except subprocess.TimeoutExpired as err:
            raise Deadline(f"{self.name}: no reset in {timeout} s") from err
        said = self.qmp_file.read()
        assert '"event": "WATCHDOG"' in said, said

    def release_all(self):
        """End of the test, in whatever state it is."""
        self.is_wanted = False
        if self.qemu:
            process.end(self.qemu)
        if self.control:
            self.control.close()
        if self.qmp_file:
            self.qmp_file.close()

    def is_alive(self):
        return self.qemu is not None and self.qemu.poll() is None

    def why_dead(self):
        """The exception that says how this host ended."""
        try:
            code = self.qemu.wait(5)
        except subprocess.TimeoutExpired:
            return HostDied(f"{self.name}: control daemon ended\n{self.log_tail()}")
        if not self.is_wanted:
            return HostDied(f"{self.name} was switched off")
        if code == -signal.SIGABRT:
            return OuterQemuAborted(f"{self.name}: the outer QEMU aborted\n{self.qemu_errors()}")
        return HostDied(f"{self.name} ended by itself (QEMU: {code})\n{self.qemu_errors()}{self.log_tail()}")

    # Commands

    def start(self, command, tty=False, show=False, on_data=None):
        """Starts a shell command (cwd: the top of the tree); returns its Job."""
        if show:
            on_data = LinePrinter(self.name)
        return self.control.start(command, tty, on_data)

    def run(self, command, timeout=60, show=False):
        """Runs a command that must succeed; returns its stdout."""
        return self.start(command, show=show).check(timeout)

    def push(self, name, data):
        """Puts a file into the host's /out; returns its path there."""
        path = os.path.join(self.out_dir, name)
        with open(path, "wb") as out:
            out.write(data.encode() if isinstance(data, str) else data)
        return f"/out/{name}"

    def load(self, *modules, timeout=60):
        """insmod of modules built for this host's kernel: 'dvmm-dsm' or 'dvmm-dsm name=value'."""
        for module in modules:
            name, _, args = module.partition(" ")
            self.run(f"insmod {self.bed.module_dir(self.release)}/{name}.ko {args}", timeout)

    # Observation

    def log(self):
        try:
            with open(self.serial, encoding="utf-8", errors="replace") as log:
                return log.read()
        except FileNotFoundError:
            return ""

    def log_tail(self, size=4000):
        return self.log()[-size:]

    def qemu_errors(self):
        with open(f"{self.serial}.qemu", encoding="utf-8", errors="replace") as errors:
            return errors.read()[-1000:]

    def dmesg(self):
        return self.run("dmesg")

    def splats(self):
        """Lines of the kernel's log that say something went wrong; [] on a healthy host."""
        return [line for line in self.dmesg().splitlines() if SPLAT.search(line)]

    def leaked(self):
        """What our modules say at their end that they could not free."""
        return re.findall(r"^.*dvmm.* leaked$", self.dmesg(), re.MULTILINE)

    def leaks(self):
        """Memory of a debug kernel that nothing refers to.

        kmemleak leaves out what is younger than 5 s or changed since its last look.
        """
        return self.run("cd /sys/kernel/debug && sleep 6 && echo scan >kmemleak && echo scan >kmemleak && cat kmemleak", 120)

    def check_debug(self):
        """The last thing on a debug kernel, whatever the test was: lockdep and the like do not end the host."""
        if not self.is_debug or not self.is_alive():
            return
        found = "\n".join(self.splats())
        # It stops at its first finding, and when its tables are full.
        if "debug_locks: 1" not in " ".join(self.run("cat /proc/lockdep_stats").split()):
            found += "\nlockdep is off"
        found += self.leaks()
        if found:
            raise Unclean(f"{self}:\n{found}\n{self.log_tail(20000)}")

    # Trouble

    def cut_link(self, peer, on=True):
        """Cuts (or joins again) the wire between this host and a peer, both ways."""
        for a, b in ((self.n, peer.n), (peer.n, self.n)):
            self.bed.lan.tell(a, b, "cut" if on else "join")

    def netem(self, peer, delay_us=0, loss_permille=0):
        """Delay and loss of frames from this host to a peer."""
        self.bed.lan.tell(self.n, peer.n, "delay", delay_us)
        self.bed.lan.tell(self.n, peer.n, "loss", loss_permille)

    def qmp(self, execute, **arguments):
        """One command of the machine monitor (stop, cont, set_link, ...); returns its result."""
        if not self.qmp_greeted:
            self.qmp_file.readline()
            self.qmp_greeted = True
            self.qmp("qmp_capabilities")
        self.qmp_file.write(json.dumps({"execute": execute, "arguments": arguments}) + "\n")
        self.qmp_file.flush()
        while True:
            answer = json.loads(self.qmp_file.readline() or '{"error": "closed"}')
            if "error" in answer:
                raise HostDied(f"{self.name}: {execute}: {answer['error']}")
            if "return" in answer:
                return answer["return"]

    qmp_greeted = False
    is_wanted = False
