"""The cost of a sweep without its simulations: planning 10,000 cells, and recording a run.

Run it with ``python bench/sweep.py``.  Planning is ``testbed run --sim --dry-run`` of 10,000 cells.
The books are all that ``testbed run --sim`` does for a run but simulate it: its topology is put
together, its record is written, the watcher told, its row summed up.  That is what a sweep of many
cells costs more than one of few.  Times are of the processor.  ``--json`` prints one JSON document.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from unittest import mock

import msgspec
from _figures import Figure, tell

from testbed import SIMULATION, compiled
from testbed.cli import main as testbed
from testbed.experiment.venue import venue

EXPERIMENT: Final = Path(__file__).parents[1] / "experiments" / "quickstart.yaml"
FEW, MANY, ALL = 10, 200, 10_000  # cells
PLANNING_GOAL_S: Final = 2.0
BOOKS_GOAL_MS: Final = 2.0
AXES: Final = (
    ("links.wifi.delay", [f"{value}ms" for value in range(1, 11)]),
    ("links.lte.delay", [f"{value}ms" for value in range(11, 21)]),
    ("links.wifi.rate", [f"{value}mbit" for value in range(11, 21)]),
    ("links.lte.rate", [f"{value}mbit" for value in range(21, 31)]),
)


def sweep(cells: int, results: str) -> list[str]:
    """Return the arguments of a sweep of so many cells, each with one short transfer."""
    matrix: dict[str, Any] = {}
    for name, values in AXES:
        left = -(-cells // max(1, _product(matrix)))
        matrix[name] = values[: min(left, len(values))]
    changed = {"workload.size": "1KB", "expect": [], "matrix": matrix}
    settings = itertools.chain.from_iterable(
        ("--set", f"{name}={msgspec.json.encode(value).decode()}")
        for name, value in changed.items()
    )
    options = ["--sim", "--stack", "userspace-tcp", "--repetitions", "1", "--results", results]
    return ["run", str(EXPERIMENT), *options, *settings]


def _product(matrix: dict[str, Any]) -> int:
    count = 1
    for values in matrix.values():
        count *= len(values)
    return count


def planning() -> float:
    """Return the seconds of planning, including the start of the interpreter."""
    before = os.times()
    with tempfile.TemporaryDirectory() as results:
        subprocess.run(
            [sys.executable, "-m", "testbed", *sweep(ALL, results), "--dry-run"],
            stdout=subprocess.DEVNULL,
            check=True,
        )
    after = os.times()
    return sum(after[2:4]) - sum(before[2:4])


class Simulations:
    """The number of simulated runs, and their seconds."""

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0
        self._venue = venue(SIMULATION)
        self._run_once = self._venue.run_once

    def run_once(self, run: Any) -> Any:
        """Simulate a run, and count it."""
        began = time.process_time()
        finished = self._run_once(run)
        self.seconds += time.process_time() - began
        self.count += 1
        if finished.record.status != "ok":
            raise AssertionError(finished.record.reason)
        return finished


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    with (
        open(os.devnull, "w") as nothing,  # noqa: PTH123 - no path
        contextlib.redirect_stdout(nothing),
        contextlib.redirect_stderr(nothing),
    ):
        yield


def beside(cells: int) -> float:
    """Return the seconds of a sweep without its simulations."""
    watch = Simulations()
    with tempfile.TemporaryDirectory() as results, _silent():
        arguments = ["testbed", *sweep(cells, results)]
        simulated = mock.patch.object(
            type(venue(SIMULATION)), "run_once", lambda _, run: watch.run_once(run)
        )
        began = time.process_time()
        with (
            mock.patch.object(sys, "argv", arguments),
            simulated,
            contextlib.suppress(SystemExit),
        ):
            testbed()
        took = time.process_time() - began
    if watch.count != cells:
        raise AssertionError(f"{watch.count} of {cells} runs were simulated")
    return took - watch.seconds


def books() -> float:
    """Return the milliseconds of one run of many, without its simulation."""
    beside(1)  # load first what is loaded once
    few, many = beside(FEW), beside(MANY)
    return (many - few) * 1000 / (MANY - FEW)


def figures() -> list[Figure]:
    """Measure."""
    build = compiled.status().build
    return [
        Figure(what=f"planning {ALL:,} cells: CPU", value=planning(), unit="s", better="lower",
               goal=PLANNING_GOAL_S, build=build),
        Figure(what="the books of one simulated run: CPU", value=books(), unit="ms",
               better="lower", goal=BOOKS_GOAL_MS, build=build),
    ]  # fmt: skip


def main() -> int:
    """Print what was measured; 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    found = figures()
    tell(found, as_json=arguments.json)
    return int(any(each.goal is not None and each.value > each.goal for each in found))


if __name__ == "__main__":
    sys.exit(main())
