"""The time to set up and remove a star of hosts round a switch, compared with Mininet.

Run it with ``python bench/scale.py``: it prints what it measured beside what is required and exits
with 1 if a requirement was missed.  ``--json`` prints one JSON document, ``--write FILE`` replaces
the marked region of a Markdown file with the table.

*Up* is carrying out and verifying the whole plan, in a holder that has been started.  *Down* ends
when the kernel has freed the last network namespace.  That is seen from outside: the measurement
runs in a user namespace, the kernel counts the network namespaces each one has, also those
without a process, and with a limit of one a new one can be made only when all others are gone
(namespaces(7), /proc/sys/user).  Each figure is the median of several rounds.

Mininet builds the same star with its LinuxBridge in a private network namespace.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import _region
import msgspec
from _figures import Figure

from testbed.sandbox import Sandbox, syscalls
from testbed.topology.load import loads_topology
from testbed.topology.operations import Plan
from testbed.topology.plan import plan
from testbed.topology.resolve import resolve

SIZES: Final = (10, 50, 200, 1000)
ROUNDS: Final = 5
REQUIRED_SIZE: Final = 200
REQUIRED_UP_S: Final = 1.0
REQUIRED_DOWN_S: Final = 0.5
# The limit of the greatest cost per host over the least.  Fixed costs weigh on small sizes.
REQUIRED_FLATNESS: Final = 2.0
LIMIT: Final = Path("/proc/sys/user/max_net_namespaces")

MININET: Final = """
import sys, time
from mininet.log import setLogLevel
from mininet.net import Mininet
from mininet.nodelib import LinuxBridge
from mininet.topo import SingleSwitchTopo
setLogLevel("error")
started = time.monotonic()
net = Mininet(SingleSwitchTopo(k=int(sys.argv[1])), switch=LinuxBridge, controller=None)
net.start()
up = time.monotonic()
net.stop()
print(up - started, time.monotonic() - up)
"""


def star(hosts: int) -> Plan:
    """Return the plan of a star."""
    return plan(resolve(loads_topology(f"generate: {{star: {{count: {hosts}}}}}")))


def enter_user_namespace() -> None:
    """Enter a user namespace, so that the kernel counts our network namespaces separately."""
    uid, gid = os.geteuid(), os.getegid()
    syscalls.unshare(syscalls.CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


def wait_until_freed() -> None:
    """Wait until this user namespace has no network namespace."""
    usual = LIMIT.read_text()
    LIMIT.write_text("1")
    child = os.fork()
    if child == 0:
        while True:
            try:
                syscalls.unshare(syscalls.CLONE_NEWNET)
            except OSError:
                continue
            os._exit(0)
    os.waitpid(child, 0)
    LIMIT.write_text(usual)


async def measure(wanted: Plan) -> tuple[float, float]:
    """Return the seconds of one setup and of one removal."""
    sandbox = await Sandbox.create()
    await sandbox.describe()  # the answer comes after all imports of the holder
    gc.collect()
    started = time.monotonic()
    await sandbox.execute(wanted)
    up = time.monotonic()
    await sandbox.close()
    wait_until_freed()
    return up - started, time.monotonic() - up


def ours(count: int) -> list[dict[str, float]]:
    """Measure every size this number of times."""
    rows = []
    for size in SIZES:
        started = time.monotonic()
        wanted = star(size)
        planned = time.monotonic() - started
        rounds = [asyncio.run(measure(wanted)) for _ in range(count)]
        up, down = (statistics.median(column) for column in zip(*rounds, strict=True))
        rows.append(
            {
                "hosts": size,
                "operations": len(wanted.operations),
                "plan_s": planned,
                "up_s": up,
                "down_s": down,
                "up_per_host_ms": up / size * 1000,
                "down_per_host_ms": down / size * 1000,
            }
        )
    return rows


def mininet() -> dict[str, Any]:
    """Measure Debian's Mininet, or return the reason why that is impossible."""
    if os.geteuid() != 0:
        return {"skipped": "Mininet needs root"}
    for tool in ("mnexec", "brctl"):
        if shutil.which(tool) is None:
            return {"skipped": f"{tool} is missing: apt-get install mininet bridge-utils"}
    done = subprocess.run(
        [
            *("unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc"),
            *("/usr/bin/python3", "-c", MININET, str(REQUIRED_SIZE)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        return {"skipped": f"Mininet failed: {lines[-1]}"}
    up, down = (float(word) for word in done.stdout.split()[-2:])
    return {"hosts": REQUIRED_SIZE, "up_s": up, "down_s": down}


def figures(rows: list[dict[str, float]]) -> list[Figure]:
    """Return what docs/performance.md shows."""
    build = "interpreted"  # no module of this benchmark is compiled
    goals = {200: 0.35, 1000: 1.6}
    up = [
        Figure(what=f"star of {row['hosts']} verified hosts up", value=row["up_s"], unit="s",
               better="lower", goal=goals.get(int(row["hosts"])), build=build)
        for row in rows
    ]  # fmt: skip
    down = Figure(what=f"star of {rows[0]['hosts']} hosts down", value=rows[0]["down_s"], unit="s",
                  better="lower", build=build)  # fmt: skip
    return [*up, down]


def judge(rows: list[dict[str, float]]) -> list[tuple[str, float, float]]:
    """Return (requirement, measured, most allowed)."""
    (required,) = (row for row in rows if row["hosts"] == REQUIRED_SIZE)
    per_host = [row["up_per_host_ms"] for row in rows]
    return [
        (f"{REQUIRED_SIZE} hosts up (s)", required["up_s"], REQUIRED_UP_S),
        (f"{REQUIRED_SIZE} hosts down (s)", required["down_s"], REQUIRED_DOWN_S),
        ("dearest / cheapest host", max(per_host) / min(per_host), REQUIRED_FLATNESS),
    ]


def table(rows: list[dict[str, float]], rival: dict[str, Any]) -> str:
    """Return the result as Markdown."""
    lines = [
        "| star | operations | planned | up, verified | down | up per host | down per host |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {row['hosts']} hosts | {row['operations']} | {row['plan_s']:.3f} s"
        f" | {row['up_s']:.3f} s | {row['down_s']:.3f} s"
        f" | {row['up_per_host_ms']:.2f} ms | {row['down_per_host_ms']:.2f} ms |"
        for row in rows
    ]
    if "skipped" in rival:
        lines.append(f"\nMininet was not measured: {rival['skipped']}.")
    else:
        hosts, up, down = rival["hosts"], rival["up_s"], rival["down_s"]
        lines.append(
            f"| Mininet, {hosts} hosts | | | {up:.2f} s | {down:.2f} s"
            f" | {up / hosts * 1000:.1f} ms | {down / hosts * 1000:.1f} ms |"
        )
    lines += ["", "| required | measured | at most | |", "| --- | ---: | ---: | --- |"]
    lines += [
        f"| {name} | {measured:.2f} | {most:.2f} | {'ok' if measured <= most else 'MISSED'} |"
        for name, measured, most in judge(rows)
    ]
    return "\n".join(lines)


def main() -> int:
    """Measure, print and judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", type=Path, metavar="FILE")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N")
    parser.add_argument("--ours", action="store_true", help="leave Mininet out")
    options = parser.parse_args()
    # Measure Mininet first: it needs the user namespace that the next step leaves.
    rival = {"skipped": "it was left out"} if options.ours else mininet()
    enter_user_namespace()
    rows = ours(options.rounds)
    if options.json:
        shown = msgspec.to_builtins(figures(rows))
        print(json.dumps({"testbed": rows, "mininet": rival, "figures": shown}, indent=2))
    else:
        print(table(rows, rival))
    if options.write:
        _region.replace(options.write, "scale", table(rows, rival))
    return 0 if all(measured <= most for _, measured, most in judge(rows)) else 1


if __name__ == "__main__":
    sys.exit(main())
