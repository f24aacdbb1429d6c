# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernels: where they are cached, and the initramfs that boots a host.

Fetching the stock ones is left to scripts/setup, building the debug one to scripts/debug-kernel.
"""

import glob
import lzma
import os
import re
import shutil
import subprocess
import tempfile

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "../../.."))
HERE = os.path.join(TOP, "selftests/testbed")
CACHE = os.path.realpath(os.environ.get("DVMM_CACHE") or os.path.expanduser("~/.cache/dvmm"))

# What must be loaded before the root file system is there.
ROOT_MODULES = ["virtio_pci", "9pnet_virtio", "9p", "overlay"]

# A kernel of scripts/debug-kernel: its release ends like this, its version is '6.1-debug'.
DEBUG = "-dvmm-debug"

# How much longer everything may take on it: every deadline of such a host is multiplied by this.
DEBUG_SLOWNESS = 5


class NotSetUp(Exception):
    """Something scripts/setup provides is missing."""


def version_key(release):
    return [int(n) for n in re.findall(r"\d+", release)]


def find(version):
    """Newest cached kernel release of a version: '6.1' -> '6.1.0-56-amd64'."""
    if os.path.exists(f"{tree(version)}/complete"):
        return version
    plain = version.removesuffix("-debug")
    folder, made_by = ("kernel-", "setup") if plain == version else ("debug-", f"debug-kernel {plain}")
    found = [os.path.basename(path)[len(folder):] for path in glob.glob(f"{CACHE}/{folder}{plain}[.-]*")
             if os.path.exists(f"{path}/complete")]
    if not found:
        raise NotSetUp(f"no kernel {version} in {CACHE}: run scripts/{made_by}")
    return max(found, key=version_key)


def is_debug(release):
    return release.endswith(DEBUG)


def slowness(release):
    return DEBUG_SLOWNESS if is_debug(release) else 1


def tree(release):
    return f"{CACHE}/{'debug' if is_debug(release) else 'kernel'}-{release}"


def image(release):
    return f"{tree(release)}/boot/vmlinuz-{release}"


def module_paths(release, names):
    """Paths of the modules and of all they need, in loading order; built-in ones are left out."""
    base = f"{tree(release)}/lib/modules/{release}"
    needs, by_name = {}, {}
    with open(f"{base}/modules.dep", encoding="utf-8") as dep:
        for line in dep:
            path, _, rest = line.partition(":")
            needs[path] = rest.split()
            name = os.path.basename(path).split(".ko")[0].replace("-", "_")
            by_name[name] = path
    order = []
    for name in names:
        path = by_name.get(name.replace("-", "_"))
        if path:
            order += [p for p in reversed([path] + needs[path]) if p not in order]
    # modules.dep lists the nearest need first, but not always: an insmod order
    # must have every module behind all of its needs.
    ready = []
    while order:
        step = [p for p in order if all(n in ready for n in needs[p])]
        ready += step
        order = [p for p in order if p not in step]
    return [f"{base}/{path}" for path in ready]


def read_module(path):
    """The module's bytes, unpacked: busybox insmod does not know xz."""
    with (lzma.open if path.endswith(".xz") else open)(path, "rb") as module:
        return module.read()


def add_modules(root, release, names):
    os.makedirs(f"{root}/modules")
    order = []
    for path in module_paths(release, names):
        name = os.path.basename(path).removesuffix(".xz")
        with open(f"{root}/modules/{name}", "wb") as out:
            out.write(read_module(path))
        order.append(name + "\n")
    with open(f"{root}/modules/order", "w", encoding="utf-8") as out:
        out.writelines(order)


def pack(root, out):
    """Writes the folder as an initramfs; complete or not at all."""
    part = f"{out}.{os.getpid()}"
    names = subprocess.run(["find", ".", "-print0"], cwd=root, check=True, stdout=subprocess.PIPE).stdout
    with open(part, "wb") as archive:
        subprocess.run(["cpio", "--null", "-o", "-H", "newc", "--quiet", "-R", "0:0"],
                       cwd=root, check=True, input=names, stdout=archive)
    os.rename(part, out)


def is_newer(made, *sources):
    """Whether what was made is there and younger than all it is made of."""
    return os.path.exists(made) and all(os.path.getmtime(made) >= os.path.getmtime(s) for s in sources)


def busybox():
    path = shutil.which("busybox")
    if not path:
        raise NotSetUp("no busybox: run scripts/setup")
    return path


def host_initramfs(release):
    out = f"{tree(release)}/initramfs-host"
    init = f"{HERE}/initramfs-init"
    if is_newer(out, init, f"{tree(release)}/complete", __file__):
        return out
    with tempfile.TemporaryDirectory() as root:
        for folder in ("bin", "dev", "proc", "top", "base", "root"):
            os.mkdir(f"{root}/{folder}")
        shutil.copy(busybox(), f"{root}/bin/busybox")
        shutil.copy(init, f"{root}/init")
        os.chmod(f"{root}/init", 0o755)
        add_modules(root, release, ROOT_MODULES)
        pack(root, out)
    return out


def tool(name, *flags):
    """A small C program of the testbed, built into the cache when its source is newer."""
    source, out = f"{HERE}/{name}.c", f"{CACHE}/testbed/{name}"
    if not is_newer(out, source):
        os.makedirs(os.path.dirname(out), exist_ok=True)
        part = f"{out}.{os.getpid()}"
        subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", source, "-o", part, *flags], check=True)
        os.rename(part, out)
    return out
