"""The speed and the memory of the userspace stack on real interfaces, compared with the kernel's.

Run it with ``python bench/userspace.py``: it prints what it measured beside what is required and
exits with 1 if a requirement was missed.  ``--json`` prints one JSON document.

Each *case* is one connection with one process at each end, over links of its own: *MTU-sized* over
a link without a wire whose frames are as large as its MTU, *large segments* over one whose frames
may be segments of 64 KiB (``offload: true``), *two paths* over 20 and 30 Mbit/s.  The stacks take
turns, all with the same congestion control, so each figure has its anchor in the same minute.
*Connections* are open at the same time in one process, whose peer is the kernel's MPTCP.  Each
figure is the median of several rounds.  A small transfer comes before: it leaves the byte code of
all modules in ``build/bytecode``, as the installation of a package does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from _figures import Beside, Figure

from testbed import compiled
from testbed.document import structured
from testbed.experiment.launcher import Launcher, Program
from testbed.sandbox import Sandbox
from testbed.topology.load import loads_topology
from testbed.topology.plan import plan
from testbed.topology.resolve import resolve
from testbed.workload.base import Workload
from testbed.workload.run import run

STACKS: Final = ("tcp", "mptcp", "userspace-tcp", "userspace")
ANCHORS: Final = {"userspace": "mptcp", "userspace-tcp": "tcp"}
CONGESTION: Final = "reno"
ROUNDS: Final = 3
COUNT: Final = 1000
REQUIRED_BITS: Final = 200e6  # per second, MTU-sized
REQUIRED_EACH: Final = 50 * 1024  # octets
ADDRESS: Final = "10.0.1.2"
CONNECTIONS: Final = str(Path(__file__).with_name("_connections.py"))
BYTECODE: Final = str(Path(__file__).parents[1] / "build" / "bytecode")
WARM_UP: Final = "100kB"
NODES: Final = "nodes: {client: {}, server: {}}\n"
UNSHAPED: Final = NODES + "links: {path: {between: [client, server]}}"
OFFLOADED: Final = NODES + "links: {path: {between: [client, server], offload: true}}"
TWO_PATHS: Final = f"""{NODES}
links:
  wifi: {{between: [client, server], netem: {{rate: 20mbit, delay: 10ms}}}}
  lte: {{between: [client, server], netem: {{rate: 30mbit, delay: 30ms}}}}
"""


class Case(NamedTuple):
    """A measure of one connection.

    :param metric: goodput (bit/s), or CPU seconds of both ends.
    :param goals: goals by build, for the ratio of our stack to the kernel's MPTCP.
    """

    topology: str
    size: str
    stacks: tuple[str, ...]
    metric: str
    goals: dict[str, float]


def _goals(interpreted: float, compiled: float) -> dict[str, float]:
    return {"interpreted": interpreted, "compiled": compiled}


CASES: Final = {
    "MTU-sized": Case(UNSHAPED, "200MB", STACKS, "goodput", _goals(0.3, 0.5)),
    "large segments": Case(OFFLOADED, "600MB", STACKS, "goodput", _goals(0.4, 0.6)),
    "two paths": Case(TWO_PATHS, "20MB", ("mptcp", "userspace"), "cpu", _goals(2.2, 2.2)),
}


async def lab(topology: str, work: Any) -> Any:
    """Call a function with a launcher of a client and a server."""
    async with await Sandbox.create() as sandbox, Launcher(sandbox) as launcher:
        await sandbox.execute(plan(resolve(loads_topology(topology))))
        return await work(launcher)


async def transfer(launcher: Launcher, stack: str, size: str) -> dict[str, float]:
    """Return goodput (bit/s) and CPU seconds of both ends of one transfer."""
    bulk = {"kind": "bulk", "from": "client", "to": "server", "size": size}
    result = await run(
        structured(bulk, Workload),  # type: ignore[arg-type]
        stack=f"{stack}(congestion={CONGESTION})",
        address=ADDRESS,
        launcher=launcher,
        seed=1,
        timeout_ns=120 * 10**9,
    )
    found = result.metrics
    return {"goodput": found["goodput"], "cpu": found["cpu_source"] + found["cpu_target"]}


async def connections(launcher: Launcher, client: str, server: str) -> dict[str, Any]:
    """Return the report of our end of many connections."""

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


def transfers(case: Case, rounds: int) -> dict[str, dict[str, float]]:
    """Return the medians of each stack; they take turns."""
    found: dict[str, list[dict[str, float]]] = {stack: [] for stack in case.stacks}
    for size in (WARM_UP, *[case.size] * rounds):
        for stack, each in found.items():

            async def work(
                launcher: Launcher, stack: str = stack, size: str = size
            ) -> dict[str, float]:
                return await transfer(launcher, stack, size)

            each.append(asyncio.run(lab(case.topology, work)))
    for each in found.values():
        del each[0]
    return {
        stack: {name: statistics.median(one[name] for one in each) for name in each[0]}
        for stack, each in found.items()
    }


def many() -> dict[str, Any]:
    """Return the cost of many connections, by the role of our end."""
    roles = {"client": ("userspace", "mptcp"), "server": ("mptcp", "userspace")}
    return {
        role: asyncio.run(lab(UNSHAPED, lambda it, pair=pair: connections(it, *pair)))
        for role, pair in roles.items()
    }


def figures(measured: dict[str, dict[str, dict[str, float]]]) -> Iterator[Figure]:
    """Yield the figures of docs/performance.md: each figure of ours with its anchor."""
    build = compiled.status().build
    for name, stacks in measured.items():
        case = CASES[name]
        speed = case.metric == "goodput"
        scale, unit = (1e9, "Gbit/s") if speed else (1.0, "CPU s of both ends")
        for ours, theirs in ANCHORS.items():
            if ours in stacks:
                yield Figure(
                    what=f"{ours}, {name} ({case.size}, {CONGESTION})",
                    value=stacks[ours][case.metric] / scale,
                    unit=unit,
                    better="higher" if speed else "lower",
                    beside=Beside(f"kernel {theirs}", stacks[theirs][case.metric] / scale),
                    goal=case.goals[build] if theirs == "mptcp" else None,
                    build=build,
                )


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N")
    parser.add_argument("--case", action="append", choices=tuple(CASES), metavar="CASE",
                        help=f"one of {', '.join(CASES)}; others are left out")  # fmt: skip
    arguments = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = BYTECODE
    chosen = arguments.case or tuple(CASES)
    measured = {name: transfers(CASES[name], arguments.rounds) for name in chosen}
    crowds = {} if arguments.case else many()
    if arguments.json:
        shown = msgspec.to_builtins([*figures(measured)])
        found = {"transfers": measured, "connections": crowds, "figures": shown}
        print(json.dumps(found, indent=2))
    else:
        report(measured, crowds)
    ours = [measured.get("MTU-sized", {}).get(stack) for stack in ANCHORS]
    fast = all(one["goodput"] >= REQUIRED_BITS for one in ours if one)
    small = all(each["each"] < REQUIRED_EACH for each in crowds.values())
    return 0 if fast and small else 1


def report(measured: dict[str, dict[str, dict[str, float]]], crowds: dict[str, Any]) -> None:
    """Print tables."""
    for name, stacks in measured.items():
        case = CASES[name]
        print(f"{name}, {case.size}, one connection, one process an end, {CONGESTION}:")
        for stack, found in stacks.items():
            anchor = stacks.get(ANCHORS.get(stack, ""))
            ratio = anchor and found[case.metric] / anchor[case.metric]
            beside = f"  {ratio:.3f} of {ANCHORS[stack]} in {case.metric}" if ratio else ""
            print(
                f"  {stack:14} {found['goodput'] / 1e6:7.0f} Mbit/s "
                f"{found['cpu']:6.2f} CPU s{beside}"
            )
    for role, found in crowds.items():
        print(
            f"{COUNT} connections with the kernel's MPTCP as the {role}: "
            f"all open after {found['seconds']:.1f} s, "
            f"{found['each'] / 1024:.1f} KiB each (required {REQUIRED_EACH // 1024})"
        )


if __name__ == "__main__":
    sys.exit(main())
