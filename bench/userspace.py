"""How fast, and how small, the userspace stack is on real interfaces, beside the kernel's.

Run it with ``python bench/userspace.py``: it prints what it measured beside what is required and
exits with 1 if a requirement was missed.  ``--json`` prints one JSON document.

*Goodput* is that of one connection over a link without a wire, whose frames are MTU-sized, with one
process at each end.  *Connections* are open at the same time in one process, whose peer is the
kernel's MPTCP.  Each figure is the median of several rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
from pathlib import Path
from typing import Any, Final

from testbed.document import structured
from testbed.experiment.launcher import Launcher, Program
from testbed.sandbox import Sandbox
from testbed.topology.load import loads_topology
from testbed.topology.plan import plan
from testbed.topology.resolve import resolve
from testbed.workload.base import Workload
from testbed.workload.run import run

STACKS: Final = ("tcp", "userspace-tcp", "mptcp", "userspace")
ROUNDS: Final = 3
OCTETS: Final = "200MB"
COUNT: Final = 1000
REQUIRED_BITS: Final = 200e6  # per second
REQUIRED_EACH: Final = 50 * 1024  # octets
ADDRESS: Final = "10.0.1.2"
CONNECTIONS: Final = str(Path(__file__).with_name("_connections.py"))
TOPOLOGY: Final = """
nodes: {client: {}, server: {}}
links: {path: {between: [client, server]}}
"""


async def lab(work: Any) -> Any:
    """Do something with a launcher of a client and a server."""
    async with await Sandbox.create() as sandbox, Launcher(sandbox) as launcher:
        await sandbox.execute(plan(resolve(loads_topology(TOPOLOGY))))
        return await work(launcher)


async def goodput(launcher: Launcher, stack: str) -> float:
    """Return bit/s of one transfer."""
    bulk = {"kind": "bulk", "from": "client", "to": "server", "size": OCTETS}
    result = await run(
        structured(bulk, Workload),  # type: ignore[arg-type]
        stack=stack,
        address=ADDRESS,
        launcher=launcher,
        seed=1,
        timeout_ns=120 * 10**9,
    )
    return result.metrics["goodput"]


async def connections(launcher: Launcher, client: str, server: str) -> dict[str, Any]:
    """Return what the end that is ours says of many connections."""

    async def start(node: str, *words: str) -> Program:
        program = await launcher.spawn(node, (sys.executable, CONNECTIONS, *words, str(COUNT)))
        if (await program.stdout.readline()).strip() != b"ready":
            raise RuntimeError((await program.stderr.read(2**16)).decode())
        return program

    serving = await start("server", "server", server, "0.0.0.0")
    dialling = await start("client", "client", client, ADDRESS)
    lines = [await program.stdout.readline() for program in (dialling, serving)]
    for program in (dialling, serving):
        if not lines[0] or not lines[1]:
            raise RuntimeError((await program.stderr.read(2**16)).decode())
        program.stdin.close()
        await program.kill(9)
        await program.wait()
    found: dict[str, Any] = json.loads(lines[client != "userspace"])
    return found


def measure() -> dict[str, Any]:
    """Measure everything; rounds of the stacks are interleaved."""
    speeds: dict[str, list[float]] = {stack: [] for stack in STACKS}
    for _ in range(ROUNDS):
        for stack in STACKS:
            speeds[stack].append(asyncio.run(lab(lambda it, stack=stack: goodput(it, stack))))
    roles = {"client": ("userspace", "mptcp"), "server": ("mptcp", "userspace")}
    many = {
        role: asyncio.run(lab(lambda it, pair=pair: connections(it, *pair)))
        for role, pair in roles.items()
    }
    return {
        "goodput": {stack: statistics.median(values) for stack, values in speeds.items()},
        "connections": many,
    }


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    measured = measure()
    if arguments.json:
        print(json.dumps(measured, indent=2))
    else:
        report(measured)
    fast = all(
        measured["goodput"][stack] >= REQUIRED_BITS for stack in ("userspace", "userspace-tcp")
    )
    small = all(each["each"] < REQUIRED_EACH for each in measured["connections"].values())
    return 0 if fast and small else 1


def report(measured: dict[str, Any]) -> None:
    """Print a table."""
    print("one connection, one process an end, MTU-sized frames:")
    for stack, speed in measured["goodput"].items():
        required = f"  (required {REQUIRED_BITS / 1e6:g})" if stack.startswith("user") else ""
        print(f"  {stack:14} {speed / 1e6:7.0f} Mbit/s{required}")
    print(f"{COUNT} connections at a time with the kernel's MPTCP:")
    for role, found in measured["connections"].items():
        print(
            f"  as the {role}: all open after {found['seconds']:.1f} s, "
            f"{found['each'] / 1024:.1f} KiB each (required {REQUIRED_EACH // 1024})"
        )


if __name__ == "__main__":
    sys.exit(main())
