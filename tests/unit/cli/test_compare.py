"""`testbed compare`: folders of simulated runs, and of runs that are made up."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import msgspec
import pytest
from typer.testing import CliRunner

from testbed.campaign import runner
from testbed.cli.application import application
from testbed.experiment.load import load
from tests.folders import keep

TEXT = """\
topology: {nodes: {client: {}, server: {}}, links: {wifi: {between: [client, server], netem: {}}}}
workload: {kind: bulk, from: client, to: server, size: 1MB}
stacks: [tcp, mptcp]
matrix: {links.wifi.delay: [1ms, 2ms]}
repetitions: 5
"""


def invoke(*arguments):
    return CliRunner().invoke(application, ["compare", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path):
    """Return a function that makes a result folder; goodputs are scaled by the stack's factor."""
    file = tmp_path / "try.yaml"

    def make(name, text=TEXT, **factors):
        file.write_text(text)
        experiment = load(file)
        store = runner.create(experiment, tmp_path / name)
        for planned in runner.plan(experiment):
            noise = 1 + planned.repetition / 1000
            goodput = 40e6 * noise * factors.get(planned.cell.stack, 1.0)
            keep(store, planned, {"goodput": goodput, "duration": 8e6 / goodput})
        return store.path

    return make


def test_what_regressed_is_3_and_stands_in_the_table(folder):
    before, after = folder("before"), folder("after", mptcp=0.8)
    done = invoke(before, after)
    assert done.exit_code == 3, done.stderr
    title, heads, *lines = done.stdout.splitlines()
    assert title == f"try: {after} against {before}"
    assert heads.split()[:4] == ["links.wifi.delay", "stack", "metric", "base"]
    table = [line.split() for line in lines[:8]]
    assert [line[-1] for line in table] == ["pass"] * 2 + ["regressed"] * 2 + ["pass"] * 2 + [
        "regressed"
    ] * 2
    assert table[0][:3] == ["1ms", "tcp", "goodput"]
    assert table[1][0] == "duration"
    assert lines[-1] == "pass: 4, regressed: 4"


def test_nothing_regressed_is_0_and_strict_wants_all_to_be_decided(folder):
    before, after = folder("before"), folder("after", mptcp=1.2)
    assert invoke(before, after).exit_code == 0
    one_run = TEXT.replace("repetitions: 5", "repetitions: 1")
    short = folder("short", one_run)
    done = invoke(before, short)
    assert done.exit_code == 0
    assert "a single run shows no spread" in done.stdout
    assert "corrected for" not in done.stdout  # nothing was tested
    assert invoke("--strict", before, short).exit_code == 1


def test_two_stacks_of_one_folder(folder):
    path = folder("one", mptcp=2.0)
    done = invoke("--json", "--base", "stack=tcp", "--new", "stack=mptcp", path)
    found = json.loads(done.stdout)
    assert found["base"] == f"{path} (stack = tcp)"
    assert found["counts"] == {"improved": 4}
    assert {(each["stack"], each["new_stack"]) for each in found["changes"]} == {("tcp", "mptcp")}


def test_a_parameter_and_a_part_of_the_cells(folder):
    path = folder("one")
    arguments = ["--base", "links.wifi.delay=1ms", "--new", "links.wifi.delay=2ms"]
    found = json.loads(invoke("--json", *arguments, "--where", "stack=tcp", path).stdout)
    (goodput, duration) = found["changes"]
    assert (goodput["stack"], goodput["parameters"]) == ("tcp", {"links.wifi.delay": "1ms"})
    assert duration["metric"] == "duration"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["FOLDER"], "cannot be compared with itself"),
        (["FOLDER", "--new", "stack=quic"], "has no cell with stack=quic; it has the stacks tcp"),
        (["FOLDER", "--new", "mptcp"], "'mptcp' selects nothing"),
        (["FOLDER", "FOLDER", "--metrics", "goodputs"], "did you mean 'goodput'?"),
        (["FOLDER", "FOLDER", "--metrics", ", "], "names no metric; write --metrics A,B"),
        (["FOLDER", "FOLDER", "--across", "colour"], "--across colour: there is no such fact"),
        (["FOLDER", "nowhere"], "nowhere is not a result folder"),
        (["FOLDER", "OTHER"], "differ: workload.size: 1MB, 2MB; add --across experiment"),
    ],
)
def test_bad_input_is_one_line_and_2(folder, arguments, message):
    other = TEXT.replace("1MB", "2MB")
    names = {"FOLDER": folder("one"), "OTHER": folder("other", other)}
    done = invoke(*(names.get(argument, argument) for argument in arguments))
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert message in done.stderr


def test_markdown_shows_names_as_they_are(folder, tmp_path):
    hostile = TEXT.replace("tcp, mptcp", "{mptcp: {}, label: '<b>|*x*'}")
    before, after = folder("before", hostile), folder("after", hostile)
    file = tmp_path / "found.md"
    assert invoke("--markdown", file, before, after).exit_code == 0
    text = file.read_text()
    heads, rule, first = [line for line in text.splitlines() if line.startswith("|")][:3]
    assert heads.startswith("| links.wifi.delay | stack | metric | base | new | change |")
    assert set(rule) == set("| -")
    assert "&lt;b>\\|\\*x\\*" in first
    assert "\npass: 4; change of the mean" in text
    assert "p of Mann-Whitney U, exact, corrected for 4 comparisons" in text
    assert invoke("--markdown", "-", before, after).stdout == text


@pytest.mark.parametrize(
    "options", [["--json", "--markdown", "-"], ["--markdown", "-", "--junit", "-"]]
)
def test_standard_output_has_one_document(folder, options):
    before, after = folder("before"), folder("after")
    done = invoke(*options, before, after)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert "would all go to standard output" in done.stderr


def test_junit_has_a_case_for_each_change(folder, tmp_path):
    before, after = folder("before"), folder("after", tcp=0.5)
    file = tmp_path / "found.xml"
    assert invoke("--junit", file, before, after).exit_code == 3
    suite = ET.parse(file).getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("8", "4", "0")
    names = [
        case.get("name") for case in suite.iter("testcase") if case.find("failure") is not None
    ]
    assert names[0] == "goodput of tcp (links.wifi.delay = 1ms)"


def test_the_json_is_the_comparison(folder):
    before, after = folder("before"), folder("after")
    found = json.loads(invoke("--json", before, after).stdout)
    assert found["counts"] == {"pass": 8}
    assert found["regressed"] is False
    assert found["changes"][0]["interval"].keys() == {"low", "high"}


def test_an_environment_that_differs_is_refused_with_what_differs(folder):
    before, after = folder("before"), folder("after")
    path = after / "environment.json"
    recorded = json.loads(path.read_text())
    recorded["kernel"]["release"] = "9.9"
    path.write_bytes(msgspec.json.encode(recorded))
    done = invoke(before, after)
    assert done.exit_code == 2
    assert "kernel.release: " in done.stderr
    assert "--across kernel" in done.stderr
    assert invoke("--across", "kernel", before, after).exit_code == 0
    assert invoke("--force", before, after).exit_code == 0


def test_a_damaged_folder_is_bad_input(folder):
    base, new = folder("one"), folder("two")
    (new / "environment.json").write_text("{")
    done = invoke(base, new)
    assert done.exit_code == 2
    assert "environment.json is damaged" in done.output
