"""`run` and `show` as far as nothing has to run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from testbed.analysis import registry
from testbed.analysis.outcome import Outcome
from testbed.analysis.verdicts import Check, Verdict
from testbed.campaign import runner
from testbed.cli.application import application
from testbed.cli.conclusion import exit_code
from testbed.cli.tables import as_text
from testbed.experiment.load import load
from testbed.results.model import WORKLOAD, FlowRecord, Proof, Status
from testbed.results.store import Store
from tests.folders import keep

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
        keep(
            store,
            planned,
            {"goodput": 45.3e6 if mptcp else 18.9e6, "duration": 0.25},
            status,
            reason="it [proves] nothing" if status is Status.INVALID else None,
            flows={WORKLOAD: flow(2 if mptcp else None)},
        )
    return store.path


def test_show_prints_the_table_again(folder):
    result = invoke("show", folder)
    assert result.exit_code == 0
    assert "try: a try" in result.stdout
    assert "18.9 Mbit/s" in result.stdout
    assert "250 ms" in result.stdout
    assert "invalid: run 0003, " in result.stdout
    assert "it [proves] nothing" in result.stdout
    assert "missing runs: 1" in result.stdout
    assert "inconclusive: goodput of mptcp" in result.stdout


def test_show_runs_prints_every_run(folder):
    lines = invoke("show", "--runs", folder).stdout.splitlines()
    assert [line.split()[0] for line in lines[-3:]] == ["0001", "0002", "0003"]


def test_show_names_each_damaged_file_and_shows_the_rest(folder):
    first, second, *_ = sorted(folder.glob("runs/*"))
    (first / "run.json").write_text("{")
    (second / "run.json").write_bytes(b"")
    done = invoke("show", str(folder))
    assert done.exit_code == 1
    assert [line.partition(" is damaged: ")[0] for line in done.stderr.splitlines()] == [
        f"testbed: {first / 'run.json'}"
    ]
    assert "goodput" in done.stdout
    assert "`testbed run --resume" in done.stdout


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
        (["FILE", "--set", "=3"], "is not PATH=VALUE"),
        (["FILE", "--set", "repetition=3"], "did you mean 'repetitions'?"),
        (["FILE", "--stack", "quic"], "there is no stack 'quic'"),
        (["FILE", "--wire", "hardware"], "--wire hardware: invalid enum value"),
        (["FILE", "--results", "FILE"], "results cannot be written to"),
        (["--resume", "nowhere"], "is not a result folder"),
        (["FILE", "--resume", "FOLDER"], "no files and no values"),
        (["FILE", "--max-repetitions", "9"], "--max-repetitions needs --until-decided"),
        (["FILE", "--until-decided", "--sim"], "in virtual time one run decides"),
        (["FILE", "--until-decided", "--set", "expect=[]"], "it needs 'expect'"),
        (["FILE", "--until-decided", "--repetitions", "1"], "one run shows no spread"),
        (["FILE", "--json", "--format", "ktap"], "--json and --format would all go to"),
        (["FILE", "--again"], "--again needs --resume"),
        (["--resume", "FOLDER", "--dry-run"], "--dry-run cannot be used with --resume"),
        (["--resume", "FOLDER", "--seed", "3"], "no files and no values"),
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


def test_show_has_the_metrics_that_are_asked_for_as_they_are_written(folder):
    heads = invoke("show", "--metrics", "duration,goodput", folder).stdout.splitlines()[1]
    assert heads.split("  ")[-1].strip() == "duration vs tcp"
    assert heads.index("duration") < heads.index("goodput")
    store = Path(__file__).parent.parent / "results" / "version1"
    shown = invoke("show", "--metrics", "rtt_p95,wifi>server.dropped_queue", store).stdout
    assert "rtt_p95" in shown.splitlines()[1]
    assert "wifi>server.dropped_queue" in shown.splitlines()[1]


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ("godput", "no run here has the metric 'godput'; did you mean 'goodput'?"),
        ("goodput,rtt_p50", "no run here has the metric 'rtt_p50'"),
    ],
)
def test_a_metric_that_is_not_there_is_bad_input(folder, metrics, message):
    result = invoke("show", "--metrics", metrics, folder)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_a_name_that_is_too_long_is_bad_input():
    result = invoke("show", "x" * 300)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "is not a result folder: File name too long" in result.stderr


def test_metrics_lists_them_with_definitions():
    shown = invoke("metrics").stdout
    assert all(name in shown for name in registry.metrics())
    only = invoke("metrics", "share").stdout
    assert "[FLOW]@LINK.share" in only
    assert "goodput_forward" not in only
    found = json.loads(invoke("metrics", "--json", "rtt_p50").stdout)
    assert [(it["name"], it["unit"], it["better"]) for it in found] == [("rtt_p50", "s", "lower")]
    assert "did you mean 'goodput'" in invoke("metrics", "godput").stderr


@pytest.mark.parametrize("command", [["show", "FOLDER"], ["show", "--json", "FOLDER"], ["metrics"]])
def test_an_output_that_is_full_is_one_line_and_1(folder, command):
    argv = [
        sys.executable,
        "-m",
        "testbed",
        *(str(folder) if it == "FOLDER" else it for it in command),
    ]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "testbed: the output cannot be written: No space left on device\n"


@pytest.mark.parametrize(
    ("verdicts", "strict", "code"),
    [
        ((), True, 0),
        ((Verdict.PASS,), True, 0),
        ((Verdict.PASS, Verdict.INCONCLUSIVE), False, 0),
        ((Verdict.PASS, Verdict.INCONCLUSIVE), True, 1),
        ((Verdict.REGRESSED, Verdict.INCONCLUSIVE), True, 3),
    ],
)
def test_what_is_not_decided_fails_where_that_is_asked_for(verdicts, strict, code):
    checks = tuple(
        Check(
            text="", metric=None, parameters={}, value=None, interval=None, at_least=1,
            at_most=None, verdict=verdict,
        )
        for verdict in verdicts
    )  # fmt: skip
    outcome = Outcome(
        experiment="try",
        description="",
        headline=(),
        cells=(),
        checks=checks,
        problems=(),
        missing=0,
    )
    assert exit_code([outcome], strict=strict) == code


def test_a_machine_without_rest_is_seen_in_the_table(folder):
    store = Store.open(folder)
    store.begin_run(1)
    store.finish_run(msgspec.structs.replace(store.run(1), busy=0.99))
    shown = invoke("show", folder).stdout
    assert "busy" in shown.splitlines()[1]
    assert "99%" in shown
    assert "processors were always busy in runs of" in shown


def test_a_wide_table_is_not_cut_away_from_a_terminal():
    store = Path(__file__).parent.parent / "results" / "version1"
    names = [
        f"{link}>{node}.{metric}"
        for link in ("wifi", "lte")
        for node in ("client", "server")
        for metric in ("queue_delay_p50", "queue_delay_p95", "dropped_queue")
    ]
    heads = invoke("show", "--metrics", ",".join(names), store).stdout.splitlines()[1]
    assert [name for name in names if name in heads.split()] == names


def test_each_row_is_one_line_whose_columns_begin_below_their_heads(folder):
    outcome = runner.conclude(Store.open(folder))
    cell = msgspec.structs.replace(outcome.cells[0], parameters={"名前": "a\nb\x1b"})
    other = msgspec.structs.replace(cell, parameters={"名前": "ü" * 9}, stack="x" * 30)
    outcome = msgspec.structs.replace(outcome, cells=(cell, other))
    heads, first, second = as_text(outcome, folder).splitlines()[1:4]
    assert first.startswith(r"a\nb\x1b   ")
    assert second.startswith("ü" * 9 + "  " + "x" * 30)
    assert heads.startswith("名前       stack")  # each of both characters is two columns wide
    runs = f"{cell.ok}/{cell.planned}"
    assert heads.index("runs") + 2 == first.index(runs) == second.index(runs)


def test_columns_that_say_the_same_in_all_rows_move_below_a_table_that_is_too_wide(monkeypatch):
    store = Path(__file__).parent.parent / "results" / "version1"
    for name, value in {"FORCE_COLOR": "1", "NO_COLOR": "1", "COLUMNS": "80"}.items():
        monkeypatch.setenv(name, value)
    metrics = "goodput,duration,longest_gap,rtt_p95"
    shown = re.sub(r"\x1b\[[\d;]*m", "", invoke("show", "--metrics", metrics, store).stdout)
    below = re.findall(r"^in all rows: (.*)$", shown, re.MULTILINE)
    assert below == ["congestion -"]  # the data are of a version that did not note it
    table, _, _ = shown.partition("in all rows")
    assert "congestion" not in table
    assert "engine" in table


def test_a_claim_says_each_parameter_once(tmp_path):
    text = TEXT_OF_A_CLAIM.format(topology=TOPOLOGY)
    (tmp_path / "claim.yaml").write_text(text)
    done = invoke("run", "--sim", tmp_path / "claim.yaml", "--results", tmp_path / "r")
    assert done.exit_code == 0, done.stderr
    assert (
        "pass: goodput of userspace (links.wifi.delay = 10ms) is at least 1mbit "
        "(with workload.size = 50KB): "
    ) in done.stdout


def test_a_mistake_in_a_topology_has_a_short_path(tmp_path):
    folder = tmp_path / "experiments"
    folder.mkdir()
    (folder / "net.yaml").write_text("nodes: {}\nlinks: 3\n")
    (folder / "try.yaml").write_text(
        "topology: ../experiments/net.yaml\n"
        "workload: {kind: bulk, from: client, to: server, size: 1MB}\n"
    )
    done = invoke("check", folder / "try.yaml")
    assert done.stdout.startswith(f"{folder / 'net.yaml'}:")


def test_help_lists_what_can_shape_the_wires():
    assert "[auto|netem|emulator]" in invoke("run", "--help").stdout


TOPOLOGY = """\
topology:
  nodes: {client: {}, server: {}}
  links: {wifi: {between: [client, server], netem: {rate: 20mbit, delay: 10ms}}}
"""
TEXT_OF_A_CLAIM = """\
{topology}
stacks: [userspace]
workload: {{kind: bulk, from: client, to: server, size: 50KB}}
matrix: {{links.wifi.delay: [10ms, 20ms], workload.size: [50KB]}}
expect:
  - {{metric: goodput, stack: userspace, where: {{links.wifi.delay: 10ms}}, at_least: 1mbit}}
"""
