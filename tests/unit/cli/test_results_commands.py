"""`run` and `show` as far as nothing has to run."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from testbed.cli.application import application
from testbed.experiment import runner
from testbed.experiment.load import load
from testbed.results.model import WORKLOAD, FlowRecord, Proof, RunRecord, Status

TEXT = """\
description: a try
topology: {nodes: {client: {}, server: {}}, links: {wifi: {between: [client, server], netem: {}}}}
workload: {kind: bulk, from: client, to: server, size: 1MB}
repetitions: 2
expect: [{metric: goodput, stack: mptcp, relative_to: tcp, at_least: 1.5}]
"""


def flow(subflows):
    """Return the one flow of a run."""
    proof = Proof(subflows=subflows)
    return FlowRecord(kind="bulk", source="client", target="server", proof=proof)


def invoke(*arguments):
    return CliRunner().invoke(application, [str(argument) for argument in arguments])


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "try.yaml"
    path.write_text(TEXT)
    return path


@pytest.fixture
def folder(file, tmp_path):
    """A folder in which run 4 is missing and run 3 is invalid."""
    experiment = load(file)
    store = runner.create(experiment, tmp_path / "results")
    for planned in runner.plan(experiment)[:3]:
        mptcp = planned.cell.stack == "mptcp"
        status = Status.INVALID if planned.number == 3 else Status.OK
        record = RunRecord(
            number=planned.number,
            stack=planned.cell.stack,
            parameters={},
            repetition=planned.repetition,
            seed=planned.seed,
            status=status,
            reason="it [proves] nothing" if status is Status.INVALID else None,
            started_at="",
            seconds=1.0,
            metrics={"goodput": 45.3e6 if mptcp else 18.9e6, "duration": 0.25},
            flows={WORKLOAD: flow(2 if mptcp else None)},
        )
        store.begin_run(planned.number)
        store.finish_run(record, {})
    return store.path


def test_show_prints_the_table_again(folder):
    result = invoke("show", folder)
    assert result.exit_code == 0
    assert "try: a try" in result.stdout
    assert "18.9 Mbit/s" in result.stdout
    assert "250 ms" in result.stdout
    assert "invalid: run 0003, " in result.stdout
    assert "it [proves] nothing" in result.stdout
    assert "runs to do: 1" in result.stdout
    assert "inconclusive: goodput of mptcp" in result.stdout


def test_show_runs_prints_every_run(folder):
    lines = invoke("show", "--runs", folder).stdout.splitlines()
    assert [line.split()[0] for line in lines[-3:]] == ["0001", "0002", "0003"]


def test_show_json_is_one_document(folder):
    found = json.loads(invoke("show", "--json", "--runs", folder).stdout)
    assert found["summary"]["experiment"] == "try"
    assert [run["number"] for run in found["runs"]] == [1, 2, 3]
    assert "runs" not in json.loads(invoke("show", "--json", folder).stdout)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "there is nothing to run; name an experiment file"),
        (["nowhere.yaml"], "nowhere.yaml: cannot be read"),
        (["FILE", "--set", "repetitions"], "is not PATH=VALUE"),
        (["FILE", "--set", "repetition=3"], "did you mean 'repetitions'?"),
        (["FILE", "--stack", "quic"], "there is no stack 'quic'"),
        (["FILE", "--wire", "hardware"], "wire: invalid enum value"),
        (["FILE", "--results", "FILE"], "results cannot be written to"),
        (["--resume", "nowhere"], "is not a result folder"),
        (["FILE", "--resume", "FOLDER"], "without files or changes"),
        (["--resume", "FOLDER", "--seed", "3"], "without files or changes"),
    ],
)
def test_bad_input_is_one_line_and_2_and_leaves_nothing(file, folder, arguments, message):
    before = sorted(file.parent.rglob("*"))
    names = {"FILE": file, "FOLDER": folder}
    result = invoke("run", *(names.get(argument, argument) for argument in arguments))
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert message in result.stderr
    assert sorted(file.parent.rglob("*")) == before
