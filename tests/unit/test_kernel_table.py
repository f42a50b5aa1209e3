"""How scripts/kernel-table writes down what came out; the runs themselves are `make kernels`."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

import pytest

from testbed import document
from testbed.analysis.outcome import outcome
from testbed.experiment.asked import asked
from testbed.experiment.spec import ExperimentSpec
from testbed.results.model import WORKLOAD, FlowRecord, Proof, RunRecord, Status

SCRIPT = Path(__file__).parents[2] / "scripts" / "kernel-table"
TEXT = """
description: a try
topology: {nodes: {client: {}, server: {}}, links: {wifi: {between: [client, server], netem: {}}}}
workload: {kind: bulk, from: client, to: server, size: 1MB}
repetitions: 1
expect: [{metric: goodput, stack: mptcp, relative_to: tcp, at_least: 1.5}]
"""
ASKED = asked("try", document.loads(TEXT, ExperimentSpec, "try.yaml").value)


def flow(subflows):
    """Return the one flow of a run."""
    proof = Proof(subflows=subflows)
    return FlowRecord(kind="bulk", source="client", target="server", proof=proof)


@pytest.fixture(scope="module")
def script():
    loader = importlib.machinery.SourceFileLoader("kernel_table", str(SCRIPT))
    spec = importlib.util.spec_from_loader("kernel_table", loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["kernel_table"] = module  # msgspec looks its types up there
    loader.exec_module(module)
    return module


def report(script, machine, *goodputs, reason=None):
    """Return what a machine made of the experiment; the reason is why mptcp did not work."""
    runs = [
        RunRecord(
            number=cell + 1,
            stack=stack,
            parameters={},
            repetition=1,
            seed=1,
            status=Status.INVALID if reason and cell else Status.OK,
            reason=reason if cell else None,
            started_at="",
            seconds=1,
            metrics={"goodput": goodput},
            flows={WORKLOAD: flow(2 if cell else None)},
        )
        for cell, (stack, goodput) in enumerate(zip(("tcp", "mptcp"), goodputs, strict=True))
    ]
    return script.Report(machine=machine, folder="", summary=outcome(ASKED, runs))


def test_a_section_has_a_column_for_each_machine_and_says_what_does_not_hold(script):
    reports = [
        report(script, "uml:a+virtual-time", 20e6, 40e6),
        report(script, "uml:b+virtual-time", 20e6, 21e6),
        report(script, "uml:c+virtual-time", 20e6, 40e6, reason="it fell back | to TCP"),
    ]
    text = script.section("try", reports, [it.machine for it in reports])
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert lines == [
        "|  | uml:a | uml:b | uml:c |",
        "| --- | --- | --- | --- |",
        "| `tcp` | 20.0 Mbit/s | 20.0 Mbit/s | 20.0 Mbit/s |",
        (
            "| `mptcp` | 40.0 Mbit/s, 2 subflows | 21.0 Mbit/s, 2 subflows "
            "| invalid: it fell back / to TCP |"
        ),
        (
            "| claims | 1 of 1 hold "
            "| 0 of 1 hold<br>not: goodput of mptcp, relative to tcp, is at least 1.5: 1.05 "
            "| 0 of 1 hold<br>not: goodput of mptcp, relative to tcp, is at least 1.5: - |"
        ),
    ]


def test_what_is_shortened_or_repeated_is_there(script):
    names = {path.stem for path in script.shipped() if path.is_file()}
    assert names >= set(script.LESS)
    assert "schedulers" not in names  # this experiment has only our stack
    assert script.TWICE.is_file()
    assert sorted(path.stem for path in script.MATRIX.glob("*.yaml")) == ["failure", "paths"]
