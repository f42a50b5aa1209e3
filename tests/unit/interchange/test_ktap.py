"""Results in the formats of the kernel's test tools."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from testbed.cli.application import application
from testbed.interchange.ktap import Result, Test, kernelci, ktap
from testbed.results.environment import Cpu, Environment, Kernel

TREE = (
    Test(
        name="link # failure",
        result=Result.FAIL,
        subtests=(
            Test(
                name="tcp",
                result=Result.FAIL,
                subtests=(
                    Test(name="run 0001", result=Result.PASS, detail="goodput 19.0 Mbit/s"),
                    Test(name="run 0002", result=Result.FAIL, detail="timed out\nafter 60s"),
                    Test(name="run 3 of 3", result=Result.SKIP, detail="not run"),
                ),
            ),
            Test(name="claim", result=Result.ERROR, detail="no proof"),
        ),
    ),
)
EXPERIMENT = """\
description: One path
topology:
  nodes: {client: {}, server: {}}
  links: {wifi: {between: [client, server], netem: {rate: 20mbit, delay: 10ms}}}
stacks: [userspace-tcp, tcp]
workload: {kind: bulk, from: client, to: server, size: 100KB}
repetitions: 2
expect:
  - {metric: goodput, stack: userspace-tcp, at_least: 1mbit}
  - {metric: goodput, stack: userspace-tcp, at_least: 1gbit}
  - {metric: goodput, stack: tcp, at_least: 1mbit}
"""


def test_the_lines_are_those_of_the_specification():
    assert (
        ktap(TREE)
        == """\
KTAP version 1
1..1
  KTAP version 1
  1..2
    KTAP version 1
    1..3
    ok 1 run 0001 # goodput 19.0 Mbit/s
    not ok 2 run 0002 # timed out after 60s
    ok 3 run 3 of 3 # SKIP not run
  not ok 1 tcp
  not ok 2 claim # ERROR no proof
not ok 1 link  failure
"""
    )


def test_a_group_of_kernelci_has_groups_and_cases():
    environment = Environment(
        testbed="1", checkout=None, python="3", packages={}, tools={},
        kernel=Kernel(release="6.18.5", version="", architecture="x86_64"),
        cpu=Cpu(model="", count=1), memory=0, root=True,
    )  # fmt: skip
    group = kernelci(TREE, environment)
    assert (group["arch"], group["kernel"]) == ("x86_64", "6.18.5")
    (experiment,) = group["sub_groups"]
    assert experiment["test_cases"] == [{"name": "claim", "status": "ERROR"}]
    assert [case["status"] for case in experiment["sub_groups"][0]["test_cases"]] == [
        "PASS", "FAIL", "SKIP",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A result folder, and what was printed as KTAP when it was made."""
    where = tmp_path_factory.mktemp("ktap")
    (where / "one_path.yaml").write_text(EXPERIMENT)
    options = ["--sim", "--results", str(where / "results"), "--format", "ktap"]
    done = CliRunner().invoke(application, ["run", *options, str(where / "one_path.yaml")])
    assert done.exit_code == 3, done.output
    (found,) = (where / "results" / "one_path").iterdir()
    return found, done.stdout


def test_run_and_show_print_the_same(folder):
    path, printed = folder
    shown = CliRunner().invoke(application, ["show", "--format", "ktap", str(path)])
    assert shown.stdout == printed
    lines = printed.splitlines()
    assert lines[:4] == ["KTAP version 1", "1..1", "  KTAP version 1", "  1..4"]
    assert lines[6].startswith("    ok 1 run 0001 # goodput ")
    assert lines[8] == "  ok 1 userspace-tcp"
    assert lines[9].startswith("  ok 2 goodput of userspace-tcp is at least 1")
    assert lines[10].startswith("  not ok 3 goodput of userspace-tcp is at least 1")
    assert lines[11].endswith("# SKIP its runs were left out")
    assert lines[12:] == ["not ok 1 one_path # One path"]


def test_show_prints_a_group_of_kernelci(folder):
    path, _ = folder
    shown = CliRunner().invoke(application, ["show", "--format", "kernelci", str(path)])
    group = json.loads(shown.stdout)
    assert group["build_environment"] == "sim"
    cases = group["sub_groups"][0]["test_cases"]
    assert [case["status"] for case in cases] == ["PASS", "FAIL", "SKIP"]


def test_a_run_that_is_missing_is_skipped(folder, tmp_path):
    path, _ = folder
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in path.glob("*.json"):
        if file.name != "manifest.json":
            (copy / file.name).write_bytes(file.read_bytes())
    (copy / "runs" / "0001").mkdir(parents=True)
    for file in Path(path, "runs", "0001").iterdir():
        (copy / "runs" / "0001" / file.name).write_bytes(file.read_bytes())
    shown = CliRunner().invoke(application, ["show", "--format", "ktap", str(copy)])
    assert "    ok 2 run 2 of 2 # SKIP not run\n" in shown.stdout
