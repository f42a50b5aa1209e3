"""The cost of the supervisor: sockets of other programs, compared with a built-in workload.

Run it with ``python bench/programs.py``: it prints measured and required values, and
exits with 1 if a requirement was missed.  ``--json`` prints one JSON document; ``--page`` writes
the table of docs/programs.md.

The client has our stack, over a link without a wire whose frames are as large as its MTU; its peer
is the kernel's MPTCP.  *Goodput* of a small program that sends is beside that of the built-in bulk
workload, *connect* of a program (with its ``socket``) beside that of the stack called inside one
process; the two take turns, and of each the median of the rounds counts.  The *connections* are
those of a program under the supervisor, as a client and as a server: all are open at the same time,
and each has had its answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import _region

from testbed import compiled
from testbed.document import structured
from testbed.experiment.launcher import Launcher, Program
from testbed.sandbox import Sandbox
from testbed.topology.load import loads_topology
from testbed.topology.plan import plan
from testbed.topology.resolve import resolve
from testbed.workload.base import Workload
from testbed.workload.run import run
from testbed.workload.stacks.request import Request

ROUNDS: Final = 5
OCTETS: Final = 50_000_000
DIALS: Final = 100
COUNT: Final = 1000
REQUIRED_GOODPUT: Final = 0.9  # share of the goodput of the workload
REQUIRED_CONNECT_MS: Final = 1.0  # more than within the process
ADDRESS: Final = "10.0.1.2"
CONGESTION: Final = "reno"
STACK: Final = f"userspace(congestion={CONGESTION})"
PROGRAMS, CONNECTIONS = (
    str(Path(__file__).with_name(name)) for name in ("_programs.py", "_connections.py")
)
PAGE: Final = Path(__file__).parents[1] / "docs" / "programs.md"
TOPOLOGY: Final = "{nodes: {client: {}, server: {}}, links: {path: {between: [client, server]}}}"


async def lab(work: Any) -> Any:
    """Call a function with a launcher of a client and a server."""
    async with await Sandbox.create() as sandbox, Launcher(sandbox) as launcher:
        await sandbox.execute(plan(resolve(loads_topology(TOPOLOGY))))
        return await work(launcher)


def supervised(report: str, *argv: str) -> tuple[str, ...]:
    """Return the command line of a Python program over our stack."""
    request = Request(stack="userspace", chosen={"congestion": CONGESTION}, report=report)
    return request.command((sys.executable, *argv))


async def started(launcher: Launcher, node: str, argv: tuple[str, ...]) -> Program:
    """Start a program that says when it is ready."""
    program = await launcher.spawn(node, argv)
    if (await program.stdout.readline()).strip() != b"ready":
        raise RuntimeError((await program.stderr.read(2**16)).decode())
    return program


async def ended(launcher: Launcher, argv: tuple[str, ...]) -> bytes:
    """Run a program on the client to its end; return what it said."""
    program = await launcher.spawn("client", argv, empty_input=True)
    said = bytes(await program.stdout.read(-1))
    if (await program.wait()).returncode:
        raise RuntimeError((await program.stderr.read(2**16)).decode())
    return said


async def goodput_of_program(launcher: Launcher, report: str) -> float:
    """Return the goodput (bit/s) of a program that sends, as its peer sees it."""
    serving = await started(launcher, "server", (sys.executable, PROGRAMS, "sink"))
    await ended(launcher, supervised(report, PROGRAMS, "send", ADDRESS, str(OCTETS)))
    seen = json.loads(await serving.stdout.readline())
    await serving.kill(9)
    if seen["octets"] != OCTETS:
        raise RuntimeError(f"{seen['octets']} octets of {OCTETS} have arrived")
    return float(seen["octets"] * 8 / seen["seconds"])


async def goodput_of_workload(launcher: Launcher, report: str) -> float:  # noqa: ARG001 - a pair
    """Return the goodput (bit/s) of the built-in workload on the same stack."""
    bulk = {"kind": "bulk", "from": "client", "to": "server", "size": f"{OCTETS}B"}
    result = await run(
        structured(bulk, Workload),
        stack=f"{STACK}/mptcp(congestion={CONGESTION})",
        address=ADDRESS,
        launcher=launcher,
        seed=1,
        timeout_ns=120 * 10**9,
    )
    return float(result.metrics["goodput"])


async def dialled(launcher: Launcher, argv: tuple[str, ...]) -> float:
    """Return the median of the times (ms) of a program's connects."""
    serving = await started(launcher, "server", (sys.executable, PROGRAMS, "sink"))
    times = json.loads(await ended(launcher, argv))
    await serving.kill(9)
    return float(statistics.median(times) * 1e3)


async def connect_of_program(launcher: Launcher, report: str) -> float:
    """Return the time (ms) of a connect through the supervisor."""
    return await dialled(launcher, supervised(report, PROGRAMS, "dial", ADDRESS, str(DIALS)))


async def connect_inside(launcher: Launcher, report: str) -> float:  # noqa: ARG001 - a pair
    """Return the time (ms) of a connect by the stack inside one process."""
    return await dialled(
        launcher, (sys.executable, PROGRAMS, "dial", ADDRESS, str(DIALS), "userspace")
    )


async def crowd(launcher: Launcher, report: str, ours: str) -> float:
    """Return the seconds until all connections are open and answered, with our stack at one end."""

    async def start(node: str, *words: str) -> Program:
        stack = "tcp" if node == ours else "mptcp"  # a program under the supervisor asks for TCP
        argv = (CONNECTIONS, node, stack, *words, str(COUNT))
        command = supervised(report, *argv) if node == ours else (sys.executable, *argv)
        return await started(launcher, node, command)

    serving = await start("server", "0.0.0.0")
    dialling = await start("client", ADDRESS)
    lines = [await program.stdout.readline() for program in (dialling, serving)]
    if not all(lines):
        complaints = [(await one.stderr.read(2**16)).decode() for one in (dialling, serving)]
        raise RuntimeError("\n".join(complaints))
    for program in (dialling, serving):
        await program.kill(9)
    return float(json.loads(lines[0])["seconds"])


PAIRS: Final = {
    "goodput": (goodput_of_program, goodput_of_workload),
    "connect": (connect_of_program, connect_inside),
}


def measure(rounds: int) -> dict[str, Any]:
    """Return the medians of each pair, and the times of many connections."""
    with tempfile.TemporaryDirectory(prefix="bench-programs-") as folder:
        report = str(Path(folder, "report"))
        found: dict[str, list[tuple[float, ...]]] = {name: [] for name in PAIRS}
        for _ in range(rounds):
            for name, pair in PAIRS.items():
                each = [asyncio.run(lab(lambda it, one=one: one(it, report))) for one in pair]
                found[name].append(tuple(each))
        crowds = {
            role: asyncio.run(lab(lambda it, role=role: crowd(it, report, role)))
            for role in ("client", "server")
        }
    medians = {
        name: [statistics.median(column) for column in zip(*rows, strict=True)]
        for name, rows in found.items()
    }
    return {**medians, "crowds": crowds, "build": compiled.status().build}


def table(measured: dict[str, Any]) -> str:
    """Return the table of the page."""
    fast, anchor = (value / 1e6 for value in measured["goodput"])
    slow, inside = measured["connect"]
    rows = [
        ("", "through the supervisor", "without", "", "goal"),
        ("---",) * 5,
        (
            "goodput, MTU-sized frames",
            f"{fast:.0f} Mbit/s",
            f"{anchor:.0f} Mbit/s (bulk)",
            f"{fast / anchor:.2f}",
            f"at least {REQUIRED_GOODPUT}",
        ),
        (
            "`socket` and `connect`",
            f"{slow:.2f} ms",
            f"{inside:.2f} ms (inside one process)",
            f"{slow - inside:.2f} ms more",
            f"less than {REQUIRED_CONNECT_MS:g} ms more",
        ),
    ]
    rows += [
        (f"{COUNT} connections of a {role}", f"answered after {seconds:.1f} s", "-", "", "all")
        for role, seconds in measured["crowds"].items()
    ]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--page", action="store_true", help=f"write the table of {PAGE.name}")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N")
    arguments = parser.parse_args()
    measured = measure(arguments.rounds)
    print(json.dumps(measured, indent=2) if arguments.json else table(measured), end="")
    if arguments.page:
        text = f"{table(measured)}\nThe stack was {measured['build']}.\n"
        _region.replace(PAGE, "programs", text)
    fast, anchor = measured["goodput"]
    slow, inside = measured["connect"]
    kept = fast / anchor >= REQUIRED_GOODPUT and slow - inside < REQUIRED_CONNECT_MS
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
