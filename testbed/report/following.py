"""How far an experiment is that is being carried out, read from its folder while it is written."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from testbed.analysis.numbers import number
from testbed.errors import TestbedError
from testbed.experiment.load import restore
from testbed.experiment.matrix import schedule
from testbed.report.answers import in_words
from testbed.results.model import ExperimentRecord, RunRecord
from testbed.results.store import Store

LATEST: Final = 6  # runs that are told of


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far it is.

    :param over: runs that are over, of so many ``planned`` ones; expectations that are not decided
        may add some.
    :param current: what is being run now: run, stack and parameters.
    :param latest: what became of the last ones, the newest first.
    """

    id: str
    over: int
    planned: int
    current: tuple[str, ...] = ()
    latest: tuple[str, ...] = ()


class Follower:
    """Reads folders again and again; what was asked for is read once."""

    def __init__(self) -> None:
        self._plans: dict[Path, tuple[int, dict[int, str]]] = {}
        self._said: dict[tuple[Path, int, int], str] = {}

    def progress(self, id_: str, path: Path) -> Progress:
        """Return how far a folder is; what cannot be read is left out."""
        store = Store(path)
        try:
            planned, names = self._plan(path, store)
            over = store.over(lambda _: None)
        except TestbedError:
            return Progress(id=id_, over=0, planned=0)
        newest = list(over)[::-1]
        with contextlib.suppress(OSError):  # one is being replaced at this moment
            newest.sort(key=lambda run: _written(store, run), reverse=True)
        return Progress(
            id=id_,
            over=len(over),
            planned=max(planned, len(over)),
            current=tuple(names.get(run, f"run {run:04d}") for run in _begun(path)),
            latest=tuple(self._tell(path, store, run) for run in newest[:LATEST]),
        )

    def _plan(self, path: Path, store: Store) -> tuple[int, dict[int, str]]:
        if path not in self._plans:
            runs = _planned(store.experiment())
            self._plans[path] = len(runs), runs
        return self._plans[path]

    def _tell(self, path: Path, store: Store, run: int) -> str:
        try:
            key = path, run, _written(store, run)
            if key not in self._said:
                self._said[key] = _in_brief(store.run(run))
        except (OSError, TestbedError):
            return f"run {run:04d} cannot be read"
        return self._said[key]


def _planned(record: ExperimentRecord) -> dict[int, str]:
    experiment = restore(record)
    plan = schedule(experiment.cells, experiment.spec.repetitions, experiment.spec.seed)
    return {
        run.number: _named(run.number, run.cell.stack, in_words(run.cell.parameters))
        for run in plan
    }


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
    """Yield the numbers of the runs whose files are being written."""
    try:
        names = sorted(each.name for each in (path / "runs").iterdir())
    except OSError:
        return
    for name in names:
        if name.startswith(".") and name[1:].isdecimal():
            yield int(name[1:])
