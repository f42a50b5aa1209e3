"""The cost of our stack's devices: packet sockets and TUN, with the kernel as the peer.

Run it as root with ``python bench/devices.py``; ``--json`` prints one JSON document.  It exits with
4 where TUN interfaces cannot be used.

The client has our stack, and sends data over a link without a wire.  On packet sockets its
frames leave by the link itself; on a TUN interface the kernel of the client's node routes them
there.  The devices take turns.  Printed are the medians of several rounds: goodput, and CPU seconds
of the client's process for each gigabyte.  This includes the kernel's work in system calls: the
write of a packet to a TUN interface carries the packet all the way to the peer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
from typing import Any, Final, NamedTuple

from testbed.document import structured
from testbed.errors import PlatformError
from testbed.experiment.launcher import Launcher
from testbed.sandbox import Sandbox
from testbed.topology.load import loads_topology
from testbed.topology.plan import plan
from testbed.topology.resolve import resolve
from testbed.workload.base import Workload
from testbed.workload.run import run

PAIRS: Final = {"userspace-tcp": "tcp", "userspace": "mptcp"}
DEVICES: Final = ("packet", "tun0")
ROUNDS: Final = 3
ADDRESS: Final = "10.0.1.2"
SIZE: Final = "100MB"
TOPOLOGY: Final = """
nodes:
  client: {{sysctls: {{net.ipv4.ip_forward: 1}}}}
  server: {{policy_routing: false, routes: [{{to: 10.9.0.2/32, via: 10.0.1.1}}]}}
links: {{path: {{between: [client, server], offload: {offload}}}}}
"""
TUN: Final = """
ip tuntap add dev tun0 mode tun
ip address add 10.9.0.1 peer 10.9.0.2 dev tun0
ip link set tun0 mtu {mtu} up
"""
CASES: Final = {"MTU-sized": ("false", 1500), "large segments": ("true", 1500)}


class Figure(NamedTuple):
    """The result of one transfer, or the medians of several."""

    goodput: float  # bit/s
    cpu: float  # seconds for each gigabyte


async def transfer(case: str, stack: str, device: str, size: str) -> Figure:
    """Carry out one transfer in a network of its own."""
    offload, mtu = CASES[case]
    bulk = {"kind": "bulk", "from": "client", "to": "server", "size": size}
    async with await Sandbox.create() as sandbox, Launcher(sandbox) as launcher:
        await sandbox.execute(plan(resolve(loads_topology(TOPOLOGY.format(offload=offload)))))
        await prepare(launcher, TUN.format(mtu=mtu))
        result = await run(
            structured(bulk, Workload),  # type: ignore[arg-type]
            stack=f"{stack}(device={device}, congestion=reno)/{PAIRS[stack]}(congestion=reno)",
            address=ADDRESS,
            launcher=launcher,
            seed=1,
            timeout_ns=120 * 10**9,
        )
    found = result.metrics
    gigabytes = found["goodput"] * found["duration"] / 8e9
    return Figure(found["goodput"], found["cpu_source"] / gigabytes)


async def prepare(launcher: Launcher, commands: str) -> None:
    """Carry out commands in the client's node."""
    program = await launcher.spawn("client", ("sh", "-ec", commands))
    complaint = await program.stderr.read(2**16)
    if (await program.wait()).returncode:
        raise PlatformError(
            "a TUN interface cannot be made",
            why=complaint.decode().strip(),
            instead="run this as root, on a kernel with TUN",
        )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N")
    parser.add_argument("--size", default=SIZE, help=f"size of each transfer ({SIZE})")
    arguments = parser.parse_args()
    try:
        measured = {case: rounds(case, arguments.rounds, arguments.size) for case in CASES}
    except PlatformError as error:
        print(f"devices: {error}", file=sys.stderr)
        return error.exit_code
    if arguments.json:
        print(json.dumps(measured, indent=2))
    else:
        report(measured, arguments.size)
    return 0


def rounds(case: str, count: int, size: str) -> dict[str, dict[str, Any]]:
    """Return the medians of each stack on each device; they take turns."""
    found: dict[tuple[str, str], list[Figure]] = {
        (stack, device): [] for stack in PAIRS for device in DEVICES
    }
    for _ in range(count):
        for (stack, device), figures in found.items():
            figures.append(asyncio.run(transfer(case, stack, device, size)))
    return {
        stack: {
            device: {
                "goodput": statistics.median(one.goodput for one in found[stack, device]),
                "cpu_s_per_gb": statistics.median(one.cpu for one in found[stack, device]),
            }
            for device in DEVICES
        }
        for stack in PAIRS
    }


def report(measured: dict[str, dict[str, dict[str, Any]]], size: str) -> None:
    """Print a table."""
    for case, stacks in measured.items():
        print(f"{case}, {size} from the client, our stack there and the kernel's at the server:")
        for stack, devices in stacks.items():
            usual = devices[DEVICES[0]]
            for device, figures in devices.items():
                speed = figures["goodput"] / usual["goodput"]
                cost = figures["cpu_s_per_gb"] / usual["cpu_s_per_gb"]
                print(
                    f"  {stack:14}{device:7} {figures['goodput'] / 1e6:6.0f} Mbit/s "
                    f"{figures['cpu_s_per_gb']:6.2f} CPU s/GB  "
                    f"({speed:.2f} and {cost:.2f} of {DEVICES[0]})"
                )


if __name__ == "__main__":
    sys.exit(main())
