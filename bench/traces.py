"""The cost of playing traces: 10 ms steps of rate, delay and loss on four wires at once.

The processor time of the holder and the emulator, with packets on all wires, less that of the same
network with options that stay.  The exit code is 1 if it is above 5 % of a processor.  With
``--engine netem`` it measures changes of the kernel's qdiscs in place; run it where there is one::

    testbed machine exec uml:7.3 -- .venv/bin/python bench/traces.py --engine netem
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Final

from testbed.errors import PlatformError
from testbed.sandbox import Sandbox
from testbed.topology.load import load_topology
from testbed.topology.plan import plan
from testbed.topology.resolve import resolve

WIRES: Final = 4
STEP_MS: Final = 10
LASTS_S: Final = 10.0
GAP_S: Final = 0.01
REQUIRED: Final = 0.05  # share of one processor
_SENDER: Final = """
import socket, time
out = [socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) for _ in range({wires})]
for number, each in enumerate(out):
    each.bind((f"l{{number}}", 0))
start = time.monotonic()
for step in range({count}):
    time.sleep(max(0.0, start + step * {gap} - time.monotonic()))
    for each in out:
        each.send(bytes(12) + b"\\x88\\xb5" + bytes(986))
"""


def trace() -> str:
    """Return five seconds of a link that changes in each step."""
    draw = Random(1)
    rows = (
        f"{step * STEP_MS},{draw.uniform(5, 50):.1f},{draw.uniform(10, 40):.1f},{draw.random():.2f}"
        for step in range(500)
    )
    return "\n".join(["time_ms,rate_mbit,delay_ms,loss_percent", *rows]) + "\n"


async def cost(folder: Path, options: str, engine: str) -> float:
    """Return the processor time of holder and emulator for a second."""
    links = "".join(
        f"  l{number}: {{between: [a, b], netem: {options}}}\n" for number in range(WIRES)
    )
    file = folder / "topology.yaml"
    file.write_text(f"nodes: {{a: {{}}, b: {{}}}}\nlinks:\n{links}")
    topology = resolve(load_topology(file))
    async with await Sandbox.create() as sandbox:
        await sandbox.execute(plan(topology, engine=engine, seed=1))
        code = _SENDER.format(wires=WIRES, count=int(LASTS_S / GAP_S), gap=GAP_S)
        before = await used(sandbox)
        began = time.monotonic()
        sender = await sandbox.spawn("a", [sys.executable, "-c", code], stderr=2)
        await sender.wait(10 * LASTS_S)
        lasted = time.monotonic() - began
        return (await used(sandbox) - before) / lasted


async def used(sandbox: Sandbox) -> float:
    """Return the processor time so far, seconds."""
    fields = Path(f"/proc/{sandbox.holder_pid}/stat").read_text().rpartition(")")[2].split()
    holder = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return holder + (await sandbox.wires()).emulator_cpu_s


def main() -> int:
    """Measure, print and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--engine", choices=("emulator", "netem"), default="emulator")
    engine = parser.parse_args().engine
    with tempfile.TemporaryDirectory(prefix="testbed-") as name:
        folder = Path(name)
        (folder / "trace.csv").write_text(trace())
        steady = "{rate: 27mbit, delay: 25ms, loss: 0.5%, queue: fifo}"
        try:
            still, changing = (
                asyncio.run(cost(folder, options, engine))
                for options in (steady, "{trace: trace.csv}")
            )
        except PlatformError as error:
            print(f"not measured: {error}")
            return 0
    if not changing:  # for example under user-mode Linux, which counts no processor time
        print("not measured: this kernel does not account for the time of processes")
        return 1
    difference = changing - still
    what = f"{engine}: {WIRES} wires both ways, {STEP_MS} ms steps"
    print(f"{what}: {changing:.2%} of a processor, {still:.2%} without the trace")
    print(f"the trace costs {difference:.2%}, at most {REQUIRED:.0%} is required")
    return 0 if difference <= REQUIRED else 1


if __name__ == "__main__":
    sys.exit(main())
