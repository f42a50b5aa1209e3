"""What is done once for all runs of a cell."""

from __future__ import annotations

import types
from pathlib import Path

import pytest

import testbed
from testbed.campaign import jobs, runner
from testbed.experiment.scenario import Scenario
from testbed.experiment.venue import Assignment

FILE = Path(__file__).parents[3] / "experiments" / "quickstart.yaml"


def test_a_cell_is_put_together_once_for_all_its_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: dict[str, list[Scenario]] = {}

    def run_once(run: Assignment) -> types.SimpleNamespace:
        seen.setdefault(run.planned.cell.stack, []).append(run.scenario)
        return types.SimpleNamespace(record=run.planned.number, files={})

    experiment = testbed.load(
        FILE, machine=testbed.SIMULATION, stacks=["userspace", "userspace-tcp"], repetitions=2
    )
    monkeypatch.setattr(jobs, "venue", lambda _: types.SimpleNamespace(run_once=run_once))
    bench, definition = jobs.Bench(experiment), jobs.Definition.of(experiment)
    for run in runner.plan(experiment):
        bench.carry_out(jobs.Job(definition=definition, run=run), tmp_path, lambda _: None)
    for first, second in seen.values():
        assert first is second
    assert seen["userspace"][0] is not seen["userspace-tcp"][0]
