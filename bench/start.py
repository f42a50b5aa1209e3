"""The start-up time of commands, and of a run without its workload.

Run it with ``python bench/start.py``.  A command is run several times; a run in a sandbox is one of
many of ``testbed run``, with very few octets over the two paths of the quickstart.  The duration
of its workload is subtracted.  Processor times are those of all processes.  ``--json`` prints one
JSON document.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from _figures import Figure, tell

import testbed
from testbed import compiled

ROOT: Final = Path(__file__).parents[1]
EXPERIMENT: Final = ROOT / "experiments" / "quickstart.yaml"
TIMES: Final = 5
RUNS: Final = 10
FEW: Final = 2  # the fewest runs after which testbed loads the libraries for statistics
RUN_GOAL_S: Final = 0.15
COMPLETION: Final = {
    "_TESTBED_COMPLETE": "complete_bash",
    "COMP_WORDS": "testbed run --st",
    "COMP_CWORD": "2",
}


class Cost(NamedTuple):
    """Seconds on the clock, and of the processor."""

    wall: float
    processor: float


def cost(*arguments: str, environment: Mapping[str, str] | None = None) -> Cost:
    """Run ``testbed`` once.  It may fail, as completion without a candidate does."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "testbed", *arguments],
        env={**os.environ, **(environment or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        check=not environment,
    )
    after, ended = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(ended - began, used)


def command(*arguments: str, environment: Mapping[str, str] | None = None) -> Cost:
    """Return the cost of a command: the median of several times."""
    found = [cost(*arguments, environment=environment) for _ in range(TIMES)]
    return Cost(*(statistics.median(column) for column in zip(*found, strict=True)))


def runs(repetitions: int) -> Cost:
    """Return the cost of a campaign of short TCP transfers, less the duration of the transfers."""
    with tempfile.TemporaryDirectory() as results:
        spent = cost(
            *("run", str(EXPERIMENT), "--results", results, "--stack", "tcp", "--json"),
            *(
                "--repetitions",
                str(repetitions),
                "--set",
                "workload.size=1KB",
                "--set",
                "expect=[]",
            ),
        )
        (folder,) = Path(results, "quickstart").iterdir()
        found = testbed.read(folder)
        if bad := [each.reason for each in found.runs if each.status != "ok"]:
            raise AssertionError(bad[0])
        lasted = sum(each.metrics["duration"] for each in found.runs)
    return Cost(spent.wall - lasted, spent.processor)


def run() -> Cost:
    """Return the cost of one run of many, without its workload."""
    few, many = runs(FEW), runs(FEW + RUNS)
    return Cost((many.wall - few.wall) / RUNS, (many.processor - few.processor) / RUNS)


def figures() -> list[Figure]:
    """Measure."""
    build = compiled.status().build
    about = {
        "testbed --help": command("--help"),
        "testbed check": command("check", str(EXPERIMENT)),
        "completion": command(environment=COMPLETION),
    }
    found = [
        Figure(what=f"{name}: CPU", value=it.processor, unit="s", better="lower", build=build)
        for name, it in about.items()
    ]
    one = run()
    return [
        *found,
        Figure(what="a run in a sandbox beside its workload", value=one.wall, unit="s",
               better="lower", goal=RUN_GOAL_S, build=build),
        Figure(what="... CPU", value=one.processor, unit="s", better="lower", build=build),
    ]  # fmt: skip


def main() -> int:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    found = figures()
    tell(found, as_json=arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
