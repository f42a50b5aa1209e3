"""``python -m bench page``: measure, add a line to bench/history.jsonl, write docs/performance.md.

Each script in ``PARTS`` prints figures (``_figures.py``) with ``--json``.  Scripts that
measure our own code run with each available build in turn, so that a busy machine affects all
builds.  The page shows the median.  ``--write`` measures nothing: it writes the page again.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import _region
import msgspec
from _figures import Beside, Figure, Figures, anchor_us

ROOT: Final = Path(__file__).resolve().parents[1]
HISTORY: Final = ROOT / "bench" / "history.jsonl"
PAGE: Final = ROOT / "docs" / "performance.md"
TIMES: Final = ("s", "ms", "us")
SAME: Final = 0.02  # a smaller relative difference is no change
MUCH: Final = 0.1
BUILDS: Final = {"interpreted": "no", "compiled": "require"}


class Part(msgspec.Struct, frozen=True):
    """A script, and how it is run.

    :param builds: it runs our own code, so that each build of that is measured.
    """

    script: str
    arguments: tuple[str, ...] = ()
    builds: bool = True


_CASES: Final = ("MTU-sized", "large segments", "two paths")
PARTS: Final = (
    Part("stack.py"),
    Part("simulation.py"),
    Part("sweep.py"),
    Part("calls.py", builds=False),
    Part(
        "userspace.py", ("--rounds", "1", *(word for case in _CASES for word in ("--case", case)))
    ),
    Part("start.py", builds=False),
    Part("scale.py", ("--ours", "--rounds", "1"), builds=False),
)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the history.

    :param anchor_us: CPU time of a fixed piece of Python, at the same time as the rest.
    :param load: the load average when it began: what else the machine did.
    """

    at: str
    commit: str
    machine: str
    python: str
    anchor_us: float
    load: float
    figures: list[Figure]


def measured(rounds: int, wanted: Sequence[str]) -> Record:
    """Run all parts this number of times, in turn."""
    found: dict[tuple[str, str], list[Figure]] = {}
    anchors, load = [], os.getloadavg()[0]
    for number in range(rounds):
        for part, build in _turns(wanted):
            anchors.append(anchor_us())
            print(f"round {number + 1} of {rounds}: {part.script}, {build}", file=sys.stderr)
            for figure in _run(part, build):
                found.setdefault(figure.key, []).append(figure)
    return Record(
        at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        commit=_commit(),
        machine=f"{_processor()}, {os.cpu_count()} cores",
        python=platform.python_version(),
        anchor_us=round(statistics.median(anchors), 1),
        load=round(load, 1),
        figures=[_median(each) for each in found.values()],
    )


def _turns(wanted: Sequence[str]) -> Iterator[tuple[Part, str]]:
    for part in PARTS:
        if not wanted or part.script in wanted:
            for build in BUILDS if part.builds else ("interpreted",):
                yield part, build


def _run(part: Part, build: str) -> list[Figure]:
    """Run a script, or none if the requested build does not exist."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TESTBED_COMPILED": BUILDS[build]}
    command = [sys.executable, str(ROOT / "bench" / part.script), "--json", *part.arguments]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=False, cwd=ROOT)
    if not done.stdout:
        print(f"{part.script}, {build}: exit code {done.returncode}: left out", file=sys.stderr)
        return []
    return msgspec.json.decode(done.stdout, type=Figures).figures


def _median(figures: Sequence[Figure]) -> Figure:
    """Return the measurement whose figure of merit is the median."""
    ordered = sorted(figures, key=lambda each: each.merit)
    return ordered[len(ordered) // 2]


def _commit() -> str:
    argv = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


# The page


class Row(NamedTuple):
    """A figure, its line of the history, and its values in earlier lines."""

    figure: Figure
    record: Record
    before: list[float]


def rows(records: Sequence[Record]) -> list[Row]:
    """Return the last measurement of each figure."""
    found: dict[tuple[str, str], Row] = {}
    for record in records:
        for figure in record.figures:
            old = found.get(figure.key)
            alike = old is not None and _place(old.record) == _place(record)
            before = [*old.before, _comparable(old.figure, old.record)] if old and alike else []
            found[figure.key] = Row(figure, record, before)
    order = list(dict.fromkeys(what for what, _ in found))
    return sorted(found.values(), key=lambda row: order.index(row.figure.what))


def _place(record: Record) -> tuple[str, str]:
    return record.machine, record.python


def table(records: Sequence[Record]) -> str:
    """Return the figures as a Markdown table, and where they were measured."""
    found = rows(records)
    lines = [
        "| what | build | measured | beside it | ratio | goal | change |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += map(_line, found)
    places = dict.fromkeys(
        f"commit {one.commit}, {one.at[:10]}, {one.machine}, load {one.load:g}, Python {one.python}"
        for one in (row.record for row in found)
    )
    return "\n".join([*lines, "", "Measured at: " + "; ".join(places) + "."])


def _line(row: Row) -> str:
    figure = row.figure
    cells = [
        figure.what,
        figure.build,
        f"{figure.value:.3g} {figure.unit}",
        _beside(figure.beside, figure.unit),
        "" if figure.beside is None else f"{figure.merit:.2f}",
        _goal(figure),
        _change(row),
    ]
    return f"| {' | '.join(cells)} |"


def _beside(beside: Beside | None, unit: str) -> str:
    return "" if beside is None else f"{beside.what}: {beside.value:.3g} {unit}"


def _goal(figure: Figure) -> str:
    if figure.goal is None:
        return ""
    met = figure.merit <= figure.goal if figure.better == "lower" else figure.merit >= figure.goal
    return f"{figure.goal:g} ({'met' if met else 'missed'})"


def _change(row: Row) -> str:
    """Return the relative change from the median of the earlier measurements."""
    if not row.before:
        return ""
    change = _comparable(row.figure, row.record) / statistics.median(row.before) - 1
    worse = change > 0 if row.figure.better == "lower" else change < 0
    if abs(change) < SAME:
        return "none"
    word = "worse" if worse else "better"
    return (
        f"{abs(change):.0%} {word}"
        if abs(change) < MUCH or not worse
        else (f"**{abs(change):.0%} {word}**")
    )


def _comparable(figure: Figure, record: Record) -> float:
    """Return a figure as it would be on a machine that is always equally fast."""
    timed = figure.beside is None and figure.unit in TIMES
    return figure.merit / record.anchor_us if timed else figure.merit


def write(records: Sequence[Record]) -> None:
    """Put the table between the two marks of the page."""
    _region.replace(PAGE, "figures", table(records))


def main() -> int:
    """Measure, keep, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--write", action="store_true", help="only write the page again")
    parser.add_argument(
        "part", nargs="*", metavar="SCRIPT", help="only these, for example stack.py"
    )
    arguments = parser.parse_args()
    known = [part.script for part in PARTS]
    if unknown := [each for each in arguments.part if each not in known]:
        parser.error(f"there is no benchmark {unknown[0]}; choose from {', '.join(known)}")
    if not arguments.write:
        record = measured(arguments.rounds, arguments.part)
        with HISTORY.open("ab") as file:
            file.write(msgspec.json.encode(record) + b"\n")
    lines = HISTORY.read_bytes().splitlines()
    write([msgspec.json.decode(line, type=Record) for line in lines])
    return 0


if __name__ == "__main__":
    sys.exit(main())
