# SPDX-License-Identifier: GPL-2.0-or-later
"""The test guest ("L2"): its initramfs and the stock QEMU command that starts it.

What runs inside is selftests/guest; who provides its vCPUs is left to the caller.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

from . import kernels
from .host import nested_kvm

SOURCE = f"{kernels.TOP}/selftests/guest"
BUILD = f"{kernels.TOP}/build/guest"
MODULES = ["virtio_mmio", "virtio_pci", "virtio_blk", "virtio_net", "button", "evdev"]

MACHINES = {
    # A spanning VM needs its IOAPIC in QEMU, so the comparison has it there too.
    "microvm": "-M microvm,kernel-irqchip=split,rtc=on",
    "q35": "-M q35,kernel-irqchip=split",
}
NICS = {"microvm": "virtio-net-device", "q35": "virtio-net-pci"}
DISKS = {"microvm": "virtio-blk-device", "q35": "virtio-blk-pci"}

# No kvmclock in a spanning VM: the TSC is the guest's only clock.
# loglevel=7 shows the boot; it costs 10 s, each character being an exit.
APPEND = "console=ttyS0 loglevel=4 tsc=reliable no_timer_check panic=-1 net.ifnames=0 iommu=noaperture"
MACHINE_APPEND = {"microvm": "pci=off 8250.nr_uarts=1", "q35": ""}     # do not probe what is not there


def slowness(hosts=2):
    """How much slower than real time the clock of a guest that spans hosts shall run.

    Over emulated hosts a page takes milliseconds, as long as the period of the guest's
    tick, and one tick touches many pages: a guest in real time does nothing but tick.
    Its clock slowed down is as if the network were faster by so much. With three hosts
    a page of the tick has twice as far to go, and all share this machine's cores.
    (The frequency of the TSC deadline timer, tsc_khz * 125 in 32 bits of the guest's kernel,
    overflows with it: the timer fires four times for each tick. A clock just slow enough
    not to do that, 15 times, was tried: computing on two hosts got less done.)
    """
    return 1 if nested_kvm() else 20 if hosts < 3 else 60


def tsc_khz(slow):
    """Ends the kernel command line: the frequency of the TSC, or more, for a slow clock.

    microvm needs it anyway: it has no timer but the PIT, whose exits are too slow under
    emulation to measure the TSC by.
    """
    return f"""" tsc_early_khz=$(awk '/^cpu MHz/ {{ printf "%d", $4 * 1000 * {slow}; exit }}' /proc/cpuinfo)\""""


def programs():
    """Builds the programs of the guest, static, when their sources are newer."""
    make = ["make", "-s", "-C", SOURCE, f"BUILD={BUILD}"]
    subprocess.run([*make, "all"], check=True, stdout=sys.stderr)
    names = subprocess.run([*make, "list"], check=True, capture_output=True, text=True).stdout.split()
    return [f"{BUILD}/{name}" for name in names]


def build(version="6.1"):
    """The guest's kernel and initramfs, made when older than their sources."""
    release = kernels.find(version)
    out = f"{BUILD}/initramfs-{release}"
    paths = programs()
    if not kernels.is_newer(out, *paths, f"{SOURCE}/init", f"{kernels.tree(release)}/complete", __file__):
        with tempfile.TemporaryDirectory() as root:
            for folder in ("bin", "dev", "proc", "sys"):
                os.mkdir(f"{root}/{folder}")
            for path in [kernels.busybox(), *paths]:
                shutil.copy(path, f"{root}/bin/")
            shutil.copy(f"{SOURCE}/init", f"{root}/init")
            os.chmod(f"{root}/init", 0o755)
            kernels.add_modules(root, release, MODULES)
            kernels.pack(root, out)
    return kernels.image(release), out


def qemu(cpus=2, mem="256M", machine="microvm", kernel="6.1", test="", disk=None, then="poweroff", append="",
         cpu="host,migratable=off", options="", slow=1, tap=None):
    """The shell command that runs the test guest with its console on stdin and stdout.

    test: as on the guest's command line, 'memcheck:-t:10,ipi'. disk: a scratch file
    on the host that runs QEMU, or a device, used with O_DIRECT. tap: a network device
    there, served by vhost; the guest is 10.88.0.2 on it. mem sizes everything a guest sees.
    slow: see slowness(); times of the test are the guest's.
    """
    image, initrd = build(kernel)
    append += " dvmm.ip=10.88.0.2" if tap else ""
    line = f"{APPEND} {MACHINE_APPEND[machine]} dvmm.cpus={cpus} dvmm.then={then} {append}" + (f" dvmm.test={test}" if test else "")
    words = ["qemu-system-x86_64 -accel kvm", MACHINES[machine], "-nodefaults -no-user-config -display none",
             f"-cpu {cpu} -smp {cpus} -m {mem} -serial stdio",
             f"-kernel {shlex.quote(image)} -initrd {shlex.quote(initrd)} -append {shlex.quote(line)}"
             + (tsc_khz(slow) if machine == "microvm" or slow > 1 else "")]
    if disk:
        cache = ",cache=none" if disk.startswith("/dev/") else ""
        words.append(f"-drive file={shlex.quote(disk)},format=raw,if=none,id=disk{cache} "
                     f"-device {DISKS[machine]},drive=disk")
    if tap:
        words.append(f"-netdev tap,id=net,ifname={tap},script=no,downscript=no,vhost=on "
                     f"-device {NICS[machine]},netdev=net")
    return " ".join([*words, options]).strip()


def verdicts(console):
    """{'memcheck': 'ok', 'ipi': 'FAIL 1', ...} of what the guest said; '' until done."""
    return dict(re.findall(r"DVMM-GUEST: (\w+) (ok|FAIL \d+)\s*$", console, re.MULTILINE))


def check(console, *tests):
    """Raises unless the guest said that all of it went well, including each of the tests."""
    said = verdicts(console)
    wrong = {name: said.get(name, "not run") for name in ("cpus", *tests) if said.get(name) != "ok"}
    wrong.update({name: word for name, word in said.items() if word != "ok"})
    if wrong or not re.search(r"^DVMM-GUEST: done \d+ ok, 0 FAIL\s*$", console, re.MULTILINE):
        raise AssertionError(f"the guest says {wrong or 'no end'}:\n{console[-4000:]}")
