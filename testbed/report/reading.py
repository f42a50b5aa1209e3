"""Reads result folders for reports. Damaged parts are reported in one line each, and skipped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from testbed.analysis.asked import Asked
from testbed.analysis.derive import derived
from testbed.errors import InputError, StoreError, TestbedError
from testbed.experiment.asked import asked
from testbed.experiment.load import read_spec, recall
from testbed.experiment.spec import ExperimentSpec
from testbed.machine.model import HOST
from testbed.records import Record
from testbed.results.environment import Environment
from testbed.results.model import ExperimentRecord, RunRecord
from testbed.results.store import Store
from testbed.topology.model import Topology

T = TypeVar("T")


class Folder(msgspec.Struct, frozen=True, kw_only=True):
    """The readable part of a result folder.

    :param path: the path of the folder.
    :param environment: the environment of the runs; ``None`` if it cannot be read.
    :param topology: the topology of the first cell; ``None`` if it can no longer be created.
    :param damage: a line for each unreadable part.
    """

    path: Path
    record: ExperimentRecord
    spec: ExperimentSpec
    asked: Asked
    environment: Environment | None
    topology: Topology | None
    runs: tuple[RunRecord, ...]
    damage: tuple[str, ...] = ()


class Reader:
    """Reads folders, and records a line for each unreadable part.

    :ivar damage: the lines.
    """

    def __init__(self) -> None:
        self.damage: list[str] = []

    def folder(self, path: Path, metrics: Sequence[str] = ()) -> Folder | None:
        """Read a folder; return ``None`` if it cannot be shown.

        :param metrics: metrics to derive, if runs lack them.
        """
        before = len(self.damage)
        store = self._try(lambda: Store.open(path))
        if store is None:
            return None
        record = self._try(store.experiment)
        if record is None:
            return None
        spec = self._try(lambda: read_spec(record), path)
        if spec is None:
            return None
        environment = self._try(store.environment)
        machine = HOST if environment is None else environment.machine
        about = self._try(lambda: asked(record.name, spec, machine), path)
        if about is None:
            return None
        if metrics:
            about = msgspec.structs.replace(about, headline=tuple(metrics))
        return Folder(
            path=path,
            record=record,
            spec=spec,
            asked=about,
            environment=environment,
            topology=self._try(lambda: _topology(record), path),
            runs=tuple(self._runs(store, metrics)),
            damage=tuple(self.damage[before:]),
        )

    def series(self, folder: Folder, number: int) -> tuple[Record, ...]:
        """Return the records of the probes of a run; empty if they cannot be read."""
        return self._try(lambda: Store.open(folder.path).series(number)) or ()

    def samples(self, folder: Folder, number: int) -> dict[str, list[float]]:
        """Return the single latencies and delays of a run, in seconds, by name."""
        found = self._try(lambda: Store.open(folder.path).samples(number)) or {}
        return {name: [value / 1e9 for value in values] for name, values in found.items()}

    def _runs(self, store: Store, metrics: Sequence[str]) -> list[RunRecord]:
        runs = self._try(lambda: store.runs(self._note)) or []
        there = {name for run in runs for name in run.metrics}
        if all(name in there for name in metrics):
            return runs
        return [derived(run, store.series(run.number, self._note)) for run in runs]

    def _note(self, error: StoreError) -> None:
        self.damage.append(" ".join(str(error).split()))

    def _try(self, read: Callable[[], T], path: Path | None = None) -> T | None:
        try:
            return read()
        except TestbedError as error:
            where = "" if path is None or str(path) in str(error) else f"{path}: "
            first = error.every[0] if isinstance(error, InputError) else error
            self.damage.append(where + " ".join(str(first).split()))
        return None


def _topology(record: ExperimentRecord) -> Topology:
    experiment = recall(record)
    return experiment.scenario(experiment.cells[0]).topology
