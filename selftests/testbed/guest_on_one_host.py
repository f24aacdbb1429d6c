# SPDX-License-Identifier: GPL-2.0-or-later
"""The test guest on the plain KVM of one host: what spanning VMs are compared with.

    scripts/testbed script selftests/testbed/guest_on_one_host.py [KERNEL [MACHINE [VCPUS]]]
"""

import sys

from testbed import Testbed, guest

TESTS = "memcheck:-t:10,diskio,ipi:-t:3,cpuhot:-n:1,spin:-n:10"


def main(kernel="6.1", machine="microvm", cpus="2"):
    with Testbed(hosts=1, kernel=kernel, cpus=2) as bed:
        host = bed.hosts[0]
        host.run("truncate -s 16M /tmp/disk.img")
        command = guest.qemu(cpus=int(cpus), machine=machine, test=TESTS, disk="/tmp/disk.img")
        job = host.start(command, show=True)
        job.wait(240)
        guest.check(job.output, "memcheck", "diskio", "ipi", "cpuhot", "spin")
        assert not host.splats(), host.splats()


main(*sys.argv[1:])
