# SPDX-License-Identifier: GPL-2.0-or-later
"""Records the memory accesses of a guest that spans hosts, its boot and what it runs then, and
compares what they cost with Ivy's protocol. The access traces are left in build/traces; those
in selftests/proto/traces were made so.

    scripts/testbed script selftests/testbed/traces.py [KERNEL [HOSTS [WORKLOAD...]]]
"""

import sys

from testbed import Testbed, kernels, trace
from testbed.cluster import Cluster
from testbed.tap import Tap

# Each is recorded alone.
WORKLOADS = {
    "compile": "compile -n 8",
    "producer-consumer": "share -k producer-consumer -n 12 -t 4",
    "false-sharing": "share -k false-sharing -n 40000 -t 1",
    "read-mostly": "share -k read-mostly -n 4000 -t 1",
    "migratory": "share -k migratory -n 40 -t 4",
}


def record(bed, name, run):
    for host in bed.hosts:
        trace.begin(host)
    run()
    files = [trace.end(host) for host in bed.hosts]
    trace.compare(files, f"{kernels.TOP}/build/traces/{name}-{len(bed.hosts)}.trace.gz")


def boot(cluster):
    """Until there is a shell on its console."""
    hosts = [1] * len(cluster.bed.hosts)
    guest = cluster.start_guest(*hosts, name="traces", then="shell")
    guest.wait(r"DVMM-GUEST: up \d+ vCPUs", 600)
    guest.wait("DVMM-GUEST: done 1 ok", 100)
    return guest


def run(guest, command):
    guest.job.send(f"{command}; echo RAN-$?\n")
    status = guest.wait(r"RAN-(\d+)", 300 * len(guest.cluster.bed.hosts))[1]
    assert status == "0", f"{command}: {status}"


def main(kernel="6.1", nr_hosts="2", *names):
    tap = Tap()
    guest = None
    with Testbed(hosts=int(nr_hosts), kernel=kernel, cpus=1) as bed:
        cluster = Cluster(bed)
        cluster.up()

        def start():
            nonlocal guest
            guest = boot(cluster)

        with tap.case("accesses_of_boot_wait_for_no_more_messages_than_ivys"):
            record(bed, "boot", start)
        for name in names or WORKLOADS:
            command = WORKLOADS[name]
            with tap.case(f"accesses_of_{name}_wait_for_no_more_messages_than_ivys"):
                record(bed, name, lambda command=command: run(guest, command))
        guest.job.send("poweroff -f\n")
        assert guest.job.wait(100) == 0, guest.errors[-2000:]
        for host in bed.hosts:
            cluster.wait_vm_gone(host)
        cluster.down()
    tap.end()


main(*sys.argv[1:])
