"""The cells of an experiment, from its matrix and cases."""

from __future__ import annotations

import pytest

from testbed.errors import InputError
from testbed.experiment import rehearsal
from testbed.experiment.scenario import scenario
from tests.experiment_text import EXPERIMENT, scenarios


def test_a_large_matrix_is_not_tried_whole(read, monkeypatch):
    made = []
    monkeypatch.setattr(rehearsal, "scenario", lambda *args: made.append(args) or scenario(*args))
    values = list(range(1000, 1100))
    experiment = read(
        EXPERIMENT
        + f"matrix: {{links.wifi.rate: {values}, workload.size: {values}}}\n"
        + "repetitions: 5\n"
    )
    assert len(experiment.cells) == 20_000
    assert len(made) < 500


def test_a_matrix_changes_topology_and_workload(read):
    experiment = read(
        EXPERIMENT + "matrix: {links.wifi.delay: [20ms, 40ms], workload.via: [wifi, lte]}\n"
    )
    delays = [it.topology.link("wifi").toward_b.delay.delay_ns for it in scenarios(experiment)]
    assert delays == [20_000_000] * 4 + [40_000_000] * 4
    rates = {it.topology.link("wifi").toward_b.rate.bits_per_second for it in scenarios(experiment)}
    assert rates == {20_000_000}
    addresses = [it.flows[0].flow.address for it in scenarios(experiment)]
    assert addresses[0] == addresses[1] != addresses[2]


CASES = """
cases:
  near: {links.wifi.delay: 5ms}
  far: {links.wifi.delay: 50ms, links.wifi.rate: 5mbit}
"""


def test_cases_are_values_that_go_together(read):
    experiment = read(EXPERIMENT + CASES + "matrix: {workload.size: [1MB, 2MB]}\nstacks: [tcp]\n")
    assert [cell.parameters for cell in experiment.cells] == [
        {"case": case, "workload.size": size} for case in ("near", "far") for size in ("1MB", "2MB")
    ]
    wires = [it.topology.link("wifi").toward_b for it in scenarios(experiment)[::2]]
    assert [wire.delay.delay_ns for wire in wires] == [5_000_000, 50_000_000]
    assert [wire.rate.bits_per_second for wire in wires] == [20_000_000, 5_000_000]


def test_the_command_line_chooses_a_case_or_changes_what_cases_set(read):
    chosen = read(EXPERIMENT + CASES, values=[("case", "far")])
    assert {cell.parameters["case"] for cell in chosen.cells} == {"far"}
    changed = read(EXPERIMENT + CASES, values=[("links.wifi.delay", "7ms")])
    delays = {it.topology.link("wifi").toward_b.delay.delay_ns for it in scenarios(changed)}
    assert delays == {7_000_000}


def test_an_expectation_of_a_case(read):
    text = "expect: [{metric: goodput, stack: tcp, where: {case: %s}, at_least: 1}]\n"
    assert read(EXPERIMENT + CASES + text % "far").spec.expect[0].where == {"case": "far"}
    with pytest.raises(InputError, match="case has no value 'fat'; did you mean 'far'"):
        read(EXPERIMENT + CASES + text % "fat")
