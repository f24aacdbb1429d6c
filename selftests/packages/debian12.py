# SPDX-License-Identifier: GPL-2.0-or-later
"""A Debian 12 in a folder, for tests of the packages: made by debootstrap once and kept in the
cache, copied for each test. And the packages, built from the sources as git knows them."""

import glob
import os
import re
import shutil
import subprocess
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
CACHE = os.environ.get("DVMM_CACHE", os.path.expanduser("~/.cache/dvmm"))
BASE = f"{CACHE}/debian-12"
WORK = f"{TOP}/build/packages"
ROOT = f"{WORK}/root"
NAMES = ["dvmm-agent", "dvmm-client", "dvmm-dkms", "libdvmm-dev", "libdvmm0"]
# What the packages depend on, so that the cached system needs no network later.
IN_BASE = ["corosync", "dkms", "linux-headers-amd64", "linux-headers-6.12-amd64", "libc6-dev", "pkg-config",
           "iproute2", "kmod", "libcmap4", "libgnutls30", "libinih1", "libjansson4", "libmicrohttpd12", "libquorum5",
           "libsmartcols1", "libsystemd0", "libxml2", "systemd"]
NEEDED = ["debootstrap", "dpkg-buildpackage", "dh", "dh_dkms", "lintian"]


def run(*command, **more):
    """The output of a command that must succeed."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                          stdin=subprocess.DEVNULL, check=False, **more)
    assert not done.returncode, f"{' '.join(command)}: status {done.returncode}\n{done.stdout[-4000:]}"
    return done.stdout


def inside(command, root=ROOT):
    """A shell command in the Debian of the test; its mounts and processes go with it."""
    script = 'mount -t proc proc "$1/proc" && exec chroot "$1" /bin/sh -ec "$2"'
    return run("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script, "sh", root, command,
               env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root",
                    "DEBIAN_FRONTEND": "noninteractive", "INITRD": "No"})


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(ROOT + path), exist_ok=True)
    with open(ROOT + path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(ROOT + path, mode)


def read(path):
    with open(ROOT + path, encoding="utf-8") as file:
        return file.read()


# ---- a Debian 12 ----

def sources():
    """Where this machine gets its packages from."""
    lines = run("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages")
    return [line for line in dict.fromkeys(lines.splitlines()) if "bookworm" in line]


def bootstrap():
    part = f"{BASE}.part"
    shutil.rmtree(part, ignore_errors=True)
    os.makedirs(part)
    mirror = next(line.split()[0] for line in sources() if line.split()[1] == "bookworm")
    # It mounts /proc there: in a namespace that ends with it.
    run("unshare", "--mount", "debootstrap", "--variant=minbase", "bookworm", part, mirror)
    with open(f"{part}/etc/apt/sources.list", "w", encoding="utf-8") as file:
        file.writelines(f"deb {line}\n" for line in sources())
    with open(f"{part}/etc/apt/apt.conf.d/99host", "w", encoding="utf-8") as file:
        file.writelines(line + "\n" for line in run("apt-config", "dump").splitlines()
                        if re.match(r"Acquire::(Check-|https?::)", line))
    os.makedirs(BASE, exist_ok=True)
    os.rename(part, f"{BASE}/root")


def make_base():
    """Made once; it gets what IN_BASE has in addition since then."""
    wanted = " ".join(IN_BASE)
    if os.path.exists(f"{BASE}/complete") and open(f"{BASE}/complete", encoding="utf-8").read() == wanted:
        return
    if not os.path.exists(f"{BASE}/root"):
        bootstrap()
    # Services start when systemd does, not while they are installed; nothing of this stays.
    inside("printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d && "
           f"apt-get update -q && apt-get install -y -q --no-install-recommends {wanted} && "
           "apt-get clean && rm /usr/sbin/policy-rc.d", f"{BASE}/root")
    with open(f"{BASE}/complete", "w", encoding="utf-8") as file:
        file.write(wanted)


def make_root():
    make_base()
    shutil.rmtree(ROOT, ignore_errors=True)
    run("cp", "-a", "--reflink=auto", f"{BASE}/root", ROOT)


def kernels():
    return sorted(os.path.basename(path) for path in glob.glob(f"{ROOT}/usr/lib/modules/*")
                  if os.path.exists(f"{path}/build"))


# ---- building ----

def fresh_work():
    shutil.rmtree(WORK, ignore_errors=True)
    os.makedirs(WORK)


def build(version=None):
    """Builds from a copy of the sources, as git knows them; returns version and folder of the packages."""
    folder = tempfile.mkdtemp(dir=WORK, prefix="build-")
    tree = f"{folder}/dvmm"
    files = [path for path in run("git", "-C", TOP, "ls-files", "-co", "--exclude-standard").splitlines()
             if os.path.exists(f"{TOP}/{path}")]
    for path in files:
        os.makedirs(os.path.dirname(f"{tree}/{path}"), exist_ok=True)
        shutil.copy2(f"{TOP}/{path}", f"{tree}/{path}")
    with open(f"{tree}/debian/changelog", encoding="utf-8") as file:
        log = file.read()
    if version:
        entry = re.sub(r"\(.*?\)", f"({version})", log, count=1)
        with open(f"{tree}/debian/changelog", "w", encoding="utf-8") as file:
            file.write(entry + "\n" + log)
    env = {**os.environ, "DEB_BUILD_OPTIONS": "parallel=1 noautodbgsym", "LC_ALL": "C.UTF-8"}
    said = run("dpkg-buildpackage", "-b", "-us", "-uc", cwd=tree, env=env)
    assert "warning: " not in "\n".join(line for line in said.splitlines() if "dpkg-" in line), said[-4000:]
    return version or re.match(r"dvmm \((.*?)\)", log)[1], folder


def debs(folder, names=None):
    return [glob.glob(f"{folder}/{name}_*.deb")[0] for name in names or NAMES]


def install(folder):
    """All that the packages depend on is there already."""
    target = f"{ROOT}/tmp/debs"
    shutil.rmtree(target, ignore_errors=True)
    os.makedirs(target)
    for deb in debs(folder):
        shutil.copy(deb, target)
    return inside("dpkg -i /tmp/debs/*.deb")
