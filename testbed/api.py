"""The Python API: read an experiment, run it, and get its results as values.

``import testbed`` gives these names::

    import testbed

    experiment = testbed.load("experiments/quickstart.yaml", machine="sim", repetitions=2)
    results = testbed.run(experiment, "results")
    table = results.columns()  # {"run": [1, 2, ...], "stack": [...], "goodput": [...]}

A data frame can be made from ``columns``, as in ``pandas.DataFrame(table)``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from testbed.analysis.claims import ExpectSpec
from testbed.analysis.outcome import Outcome
from testbed.campaign import runner
from testbed.campaign.watching import Quiet, Watcher
from testbed.errors import InputError
from testbed.experiment.load import Experiment
from testbed.experiment.load import load as _load
from testbed.experiment.overrides import Overrides
from testbed.experiment.venue import SIMULATION
from testbed.machine.model import HOST
from testbed.records import Record
from testbed.results.environment import Environment
from testbed.results.model import ExperimentRecord, RunRecord
from testbed.results.store import Store

__all__ = ["HOST", "SIMULATION", "Experiment", "Results", "load", "read", "run"]


class Results:
    """A result folder.

    :param folder: a folder that ``testbed run`` made, or a copy or a part of one.
    :raises InputError: the folder is no result folder.
    """

    def __init__(self, folder: Path | str) -> None:
        self._store = Store.open(Path(folder))

    @property
    def folder(self) -> Path:
        """The path of the folder."""
        return self._store.path

    @property
    def experiment(self) -> ExperimentRecord:
        """The requested experiment. Raises StoreError."""
        return self._store.experiment()

    @property
    def environment(self) -> Environment:
        """The environment of the runs. Raises StoreError."""
        return self._store.environment()

    @property
    def runs(self) -> list[RunRecord]:
        """The finished runs, in order of their numbers. Raises StoreError."""
        return self._store.runs()

    def outcome(
        self, metrics: Sequence[str] = (), claims: Sequence[ExpectSpec] | None = None
    ) -> Outcome:
        """Return the summary of the runs: a row for each cell, and the claims' verdicts.

        :param metrics: names that ``testbed metrics`` lists; by default the main metrics of the
            flows.
        :param claims: the claims to judge instead of those of the experiment.
        :raises InputError: a metric has no value in any run.
        :raises StoreError: the folder cannot be read.
        """
        return runner.conclude(self._store, metrics, claims)

    def series(self, run: int) -> Iterator[Record]:
        """Yield the records that the probes wrote in one run, in order of time.

        :param run: the number of the run.
        :raises StoreError: the series cannot be read.
        """
        yield from self._store.series(run)

    def columns(self, metrics: Sequence[str] = ()) -> dict[str, list[Any]]:
        """Return columns with one value for each run.

        The columns are ``run``, ``stack``, ``repetition``, ``seed``, ``status`` and ``reason``,
        then the parameters of the matrix and the metrics by their names. A missing value is
        ``None``. Rates are in bit/s, times in seconds, sizes in octets.

        :param metrics: the names of the metrics; by default all metrics that any run has.
        :raises StoreError: the folder cannot be read.
        """
        runs = runner.records(self._store, metrics)
        parameters = dict.fromkeys(name for each in runs for name in each.parameters)
        wanted = metrics or sorted({name for each in runs for name in each.metrics})
        return {
            "run": [each.number for each in runs],
            "stack": [each.stack for each in runs],
            "repetition": [each.repetition for each in runs],
            "seed": [each.seed for each in runs],
            "status": [str(each.status) for each in runs],
            "reason": [each.reason for each in runs],
            **{name: [each.parameters.get(name) for each in runs] for name in parameters},
            **{name: [each.metrics.get(name) for each in runs] for name in wanted},
        }


def load(path: Path | str, **changes: Any) -> Experiment:
    """Read an experiment file and check it.

    :param changes: the changes that the command line offers: ``machine`` (:data:`HOST` or
        :data:`SIMULATION`), ``stacks``, ``repetitions``, ``seed``, ``wire``, and ``values``, a
        dictionary from paths to values.
    :raises InputError: the file or a change is invalid.
    """
    machine = changes.get("machine", HOST)
    if machine not in (HOST, SIMULATION):
        raise InputError(
            f"the machine {machine!r} cannot be used from Python",
            hint="the command line starts machines: testbed run --machine",
        )
    values = changes.pop("values", {})
    texts = [(path, msgspec.json.encode(value).decode()) for path, value in values.items()]
    return _load(Path(path), Overrides(values=texts, **changes))


def run(
    experiment: Experiment,
    results: Path | str = "results",
    *,
    jobs: int = 1,
    watcher: Watcher | None = None,
) -> Results:
    """Carry out all runs of an experiment on this kernel, or in a simulation.

    :param results: the folder in which the result folder is made.
    :param jobs: the number of parallel runs; more than one only in simulations.
    :param watcher: an object that is informed of the progress.
    :raises TestbedError: no run is possible; stored results stay.
    """
    store = runner.create(experiment, Path(results))
    telling = watcher or Quiet()
    with store.writing():
        for runs in runner.due(experiment, store):
            runner.carry_out(experiment, store, runs, telling, fail_fast=False, jobs=jobs)
    return Results(store.path)


def read(folder: Path | str) -> Results:
    """Return the results in a folder.

    :raises InputError: the folder is no result folder.
    """
    return Results(folder)
