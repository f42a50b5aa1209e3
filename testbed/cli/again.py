"""The repetition of an earlier experiment in the same place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from testbed.campaign.request import Request
from testbed.cli import campaign, elsewhere
from testbed.cli.ending import end_as_ctrl_c
from testbed.errors import TestbedError
from testbed.experiment.load import restore
from testbed.experiment.venue import SIMULATION
from testbed.machine import machine
from testbed.machine.model import HOST
from testbed.results.model import ExperimentRecord


def run_again(name: str, spec: dict[str, Any], place: str, results: Path, *, json: bool) -> Path:
    """Run the experiment and return the result folder.

    :param name: the name of the experiment.
    :param spec: the file as plain data, with its topology.
    :param place: the machine, by its name in an environment.
    :param results: the directory for the folder.
    :param json: whether standard output is reserved for a document.
    :raises TestbedError: no run is possible.
    """
    end_as_ctrl_c()
    record = ExperimentRecord(name=name, topology="", spec=spec, created_at="", version="")
    guest, known = None, None
    if place not in (HOST, SIMULATION):
        guest = machine(place)
        elsewhere.check(guest)
        known = elsewhere.prepared()
    request = Request(files=(), results=str(results), summary=False, json=json)
    done: campaign.Done = []
    campaign.carry_out(request, [restore(record, place)], done, guest, known)
    if not done:
        raise TestbedError(f"{name}: no run was finished in {place}")
    store, _ = done[-1]
    return store.path
