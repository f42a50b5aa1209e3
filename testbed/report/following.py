"""The progress of a running experiment, read from its folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from testbed.analysis.numbers import number
from testbed.errors import TestbedError
from testbed.experiment.load import recall
from testbed.experiment.matrix import schedule
from testbed.report.answers import in_words
from testbed.results.model import ExperimentRecord, RunRecord
from testbed.results.store import Store

LATEST: Final = 6  # runs in ``Progress.latest``


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of an experiment.

    :param over: the number of finished runs.
    :param planned: the number of runs in the started blocks of repetitions.
    :param most: the number of runs in all blocks, if the expectations stay undecided.
    :param current: the current runs: run, stack and parameters.
    :param latest: the outcomes of the last runs, the newest first.
    """

    id: str
    over: int
    planned: int
    most: int
    current: tuple[str, ...] = ()
    latest: tuple[str, ...] = ()


class _Plan(msgspec.Struct, frozen=True):
    """The largest set of runs that an experiment can have.

    :param names: the description of each run, by its number.
    :param block: the number of runs between two checks of the expectations.
    """

    names: dict[int, str]
    block: int

    def begun(self, runs: int) -> int:
        """Return the number of runs in all started blocks.

        :param runs: the number of started runs.
        """
        blocks = max(1, -(-runs // self.block))
        return min(blocks * self.block, len(self.names))


class Follower:
    """Reads the progress of folders repeatedly. It reads the experiment of a folder once."""

    def __init__(self) -> None:
        self._plans: dict[Path, _Plan] = {}
        self._said: dict[tuple[Path, int, int], str] = {}

    def progress(self, id_: str, path: Path) -> Progress:
        """Return the progress of a folder. Unreadable parts are omitted."""
        store = Store(path)
        try:
            plan = self._plan(path, store)
            over = store.over(lambda _: None)
        except TestbedError:
            return Progress(id=id_, over=0, planned=0, most=0)
        current = tuple(_begun(path))
        newest = list(over)[::-1]
        with contextlib.suppress(OSError):  # a run is replaced at this moment
            newest.sort(key=lambda run: _written(store, run), reverse=True)
        return Progress(
            id=id_,
            over=len(over),
            planned=plan.begun(len(over) + len(current)),
            most=len(plan.names),
            current=tuple(plan.names.get(run, f"run {run:04d}") for run in current),
            latest=tuple(self._tell(path, store, run) for run in newest[:LATEST]),
        )

    def _plan(self, path: Path, store: Store) -> _Plan:
        if path not in self._plans:
            self._plans[path] = _planned(store.experiment())
        return self._plans[path]

    def _tell(self, path: Path, store: Store, run: int) -> str:
        try:
            key = path, run, _written(store, run)
            if key not in self._said:
                self._said[key] = _in_brief(store.run(run))
        except (OSError, TestbedError):
            return f"run {run:04d} cannot be read"
        return self._said[key]


def _planned(record: ExperimentRecord) -> _Plan:
    experiment = recall(record)
    spec = experiment.spec
    most = spec.max_repetitions or spec.repetitions
    names = {
        run.number: _named(run.number, run.cell.stack, in_words(run.cell.parameters))
        for run in schedule(experiment.cells, most, spec.seed)
    }
    return _Plan(names=names, block=len(experiment.cells) * spec.repetitions)


def _named(run: int, stack: str, parameters: str) -> str:
    return f"run {run:04d}, {stack}" + (f" ({parameters})" if parameters else "")


def _in_brief(run: RunRecord) -> str:
    said = _named(run.number, run.stack, in_words(run.parameters)) + f": {run.status}"
    if run.reason:
        return f"{said}, {run.reason}"
    if "goodput" in run.metrics:
        return f"{said}, goodput {number('goodput', run.metrics['goodput'], None)}"
    return said


def _written(store: Store, run: int) -> int:
    return (store.path / "runs" / f"{run:04d}").stat().st_mtime_ns


def _begun(path: Path) -> Iterator[int]:
    """Yield the numbers of the runs in progress."""
    try:
        names = sorted(each.name for each in (path / "runs").iterdir())
    except OSError:
        return
    for name in names:
        if name.startswith(".") and name[1:].isdecimal():
            yield int(name[1:])
