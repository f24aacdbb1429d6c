# SPDX-License-Identifier: GPL-2.0-or-later
"""One Linux guest on two hosts, shown on this one machine: scripts/demo.

Installs what is missing (Debian packages, as root), builds, starts two emulated hosts with stock
Debian kernels, joins them by kernel RDMA, boots a stock Debian guest kernel over both and shows the
proof from both sides. Ends with `dvmm demo: OK`.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)
BEGAN = time.monotonic()


class Failed(Exception):
    """Ends the demo with a sentence."""


def step(text):
    print(f"\n[{time.monotonic() - BEGAN:4.0f} s] {text}", flush=True)


def show(owner, text):
    for line in text.rstrip().splitlines():
        print(f"  {owner:6}| {line}", flush=True)


def must(words, why):
    """A command of the preparation; its output only when it fails."""
    done = subprocess.run(words, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        print(done.stdout[-4000:])
        raise Failed(why)


def prepare(kernel):
    step("packages and stock kernels (scripts/setup)")
    if subprocess.run([f"{TOP}/scripts/setup", "--no-checks"], check=False).returncode:
        raise Failed("scripts/setup failed; it says above what is missing")
    from testbed import kernels
    release = kernels.find(kernel)
    step(f"building the modules for {release}, and the user programs")
    must(["make", "modules", f"KDIR=/lib/modules/{release}/build"], "the modules do not build")
    must(["make", "user"], "the user programs do not build")


class GuestView:
    """Prints the guest's console as it comes, by lines."""

    def __init__(self):
        self.rest = b""

    def __call__(self, data):
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            show("guest", line.decode(errors="replace").replace("\r", "") or " ")


def start_guest(cluster, counts, keep):
    from testbed import guest
    from testbed.cluster import BOOT_ALONE, DVMM, place
    cpus, last = sum(counts), sum(counts) - 1
    host = cluster.bed.hosts[0]
    host.run("truncate -s 16M /tmp/disk.img")
    # The guest's kernel starts on vCPU 0; its init takes in the others, one after the other.
    command = guest.qemu(cpus=cpus, slow=guest.slowness(), disk="/tmp/disk.img", append=f"{BOOT_ALONE} dvmm.log=1",
                         then="shell" if keep else "poweroff",
                         test=f"memcheck:-t:1:-k:atomics+ping-pong+message-passing+shootdown,diskio:-n:4:-k:blocks:-p:{last}")
    placement = place(*counts)
    show("n1", f"dvmm run --name demo --place {placement} -- qemu-system-x86_64 -accel kvm -smp {cpus} ...")
    return host.start(f"exec {DVMM} run --name demo --place {placement} -- {command}", on_data=GuestView())


def show_hosts(cluster):
    from testbed.cluster import DVMM
    for host in cluster.bed.hosts:
        name = f"n{host.n}"
        show(name, f"# dvmm vcpu list (the counters are of the vCPUs that live on {name})")
        show(name, host.run(f"{DVMM} vcpu list"))
        show(name, "# dvmm stat demo")
        lines = [line for line in host.run(f"{DVMM} stat demo").splitlines() if not re.search(r"\s0 \w+ ", line)]
        show(name, "\n".join(lines))
    show("n1", "# dvmm stat link")
    show("n1", cluster.bed.hosts[0].run(f"{DVMM} stat link"))


def check_guest(output, counts):
    """What the guest has to have said: raises with the sentence that is not true."""
    from testbed import guest
    guest.check(output, "memcheck", "diskio")
    if f"diskio: the console, from vCPU {sum(counts) - 1}" not in output:
        raise Failed("the console was not written from the vCPU of the other host")


def check_hosts(cluster, counts):
    """Each host runs the vCPUs it should, now: else Failed."""
    for host in cluster.bed.hosts:
        here = [vcpu for vcpu in cluster.dvmm(host, "vcpu list demo") if vcpu["node"] == f"n{host.n}"]
        if len(here) != counts[host.n - 1] or not all(vcpu["exits"] for vcpu in here):
            raise Failed(f"n{host.n} does not run the vCPUs it should: {here}")


def run_guest(cluster, counts, keep):
    job = start_guest(cluster, counts, keep)
    try:
        job.wait_line(rf"DVMM-GUEST: up {sum(counts)} vCPUs", timeout=300)
        step("the guest is up on both hosts; it checks its memory and its disk")
        job.wait_line(r"DVMM-GUEST: memcheck (ok|FAIL)", timeout=240)
        step("what the hosts say meanwhile")
        show_hosts(cluster)
        check_hosts(cluster, counts)
        job.wait_line(r"DVMM-GUEST: done", timeout=240)
        check_guest(job.output, counts)
        if keep:
            talk(job)
        step("the guest powers off")
        if job.wait(120):
            raise Failed(f"dvmm run failed: {job.errors[-1000:]}")
    except BaseException:
        show("qemu", job.errors[-2000:])
        raise


def talk(job):
    """The terminal is the guest's console until the guest ends."""
    step("the guest's console is yours: type, and `poweroff -f` ends it")
    for line in sys.stdin:
        job.send(line)
        if job.status is not None or line.strip().startswith("poweroff"):
            return


def demo(args):
    from testbed import Testbed
    from testbed.cluster import Cluster
    counts = [3, 1]
    step("starting two hosts with stock kernels (QEMU machines; emulated where KVM cannot nest)")
    with Testbed(hosts=2, kernel=args.kernel) as bed:
        cluster = Cluster(bed)
        step(f"loading dvmm.ko, dvmm-dsm.ko, dvmm-vcpu.ko on {' and '.join(bed.releases)}; starting the agents")
        cluster.up()
        for host in bed.hosts:
            show(f"n{host.n}", host.run("build/user/dvmm link list"))
        step("starting one guest: vCPUs 0-2 on n1, vCPU 3 on n2")
        run_guest(cluster, counts, args.keep)
        step("stopping the agents, unloading the modules")
        cluster.down()
        show("hosts", "no dvmm module is loaded, no warning is in the kernel logs")


def parse():
    parser = argparse.ArgumentParser("scripts/demo", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="leave the guest running and give its console")
    parser.add_argument("--kernel", default="6.1", choices=["6.1", "6.12"], help="of the hosts (default 6.1)")
    return parser.parse_args()


def main():
    args = parse()
    try:
        if not shutil.which("apt-get"):
            raise Failed("this needs Debian 12: there is no apt-get here")
        prepare(args.kernel)
        from testbed import run_scenario
        run_scenario(demo, args)
    except KeyboardInterrupt:
        print("\ndvmm demo: interrupted", flush=True)
        return 130
    except Exception as err:  # whatever failed, the last line says so
        print(f"\n{type(err).__name__}: {err}\ndvmm demo: FAILED", flush=True)
        return 1
    print(f"\n[{time.monotonic() - BEGAN:4.0f} s]\ndvmm demo: OK", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
