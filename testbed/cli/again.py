"""An experiment that was carried out once, carried out again in the same place."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import msgspec

from testbed.campaign import runner
from testbed.campaign.request import Request
from testbed.cli import elsewhere
from testbed.cli.ending import end_as_ctrl_c
from testbed.cli.progress import watcher
from testbed.errors import TestbedError
from testbed.experiment.load import restore
from testbed.experiment.venue import HOST, SIMULATION
from testbed.machine import machine
from testbed.results.model import ExperimentRecord


def run_again(name: str, spec: dict[str, Any], place: str, results: Path, *, json: bool) -> Path:
    """Return the result folder.

    :param name: of the experiment.
    :param spec: the file as plain data, with the topology in it.
    :param place: the machine, as an environment names it.
    :param results: where the folder is made.
    :param json: leave standard output to a document.
    :raises TestbedError: no run is possible.
    """
    end_as_ctrl_c()
    if place in (HOST, SIMULATION):
        return _here(name, spec, place, results)
    guest = machine(place)
    elsewhere.check(guest)
    made: list[Path] = []
    with tempfile.TemporaryDirectory(prefix="testbed-") as scratch:
        file = Path(scratch, f"{name}.yaml")
        file.write_bytes(msgspec.json.encode(spec))  # YAML can read JSON
        request = Request(files=(str(file),), results=str(results), summary=False, json=json)
        elsewhere.run_in(guest, request, results, made)
    if not made:
        raise TestbedError(f"{name}: no run was finished in {place}")
    return made[-1]


def _here(name: str, spec: dict[str, Any], place: str, results: Path) -> Path:
    record = ExperimentRecord(name=name, topology="", spec=spec, created_at="", version="")
    experiment = restore(record, place)
    store = runner.create(experiment, results)
    with store.writing():
        for runs in runner.due(experiment, store):
            with watcher(name, len(runs)) as watching:
                runner.carry_out(experiment, store, runs, watching, fail_fast=False)
    return store.path
