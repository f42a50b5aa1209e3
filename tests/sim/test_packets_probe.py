"""The probe `packets`: one number for every packet of a simulated run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from testbed.cli.application import application

EXPERIMENT = """\
topology:
  nodes: {client: {}, server: {}}
  links:
    wifi: {between: [client, server], netem: {rate: 20mbit, delay: 5ms}}
    lte: {between: [client, server], netem: {rate: 30mbit, delay: 15ms}}
stacks: [userspace]
workload: {kind: bulk, from: client, to: server, size: 200KB}
repetitions: 1
probes: [packets]
"""


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """Return a function that simulates the experiment; it returns the result folder."""
    file = tmp_path / "try.yaml"
    file.write_text(EXPERIMENT)

    def carry_out(name: str, *options: str) -> Path:
        results = tmp_path / name
        arguments = ["run", "--sim", str(file), "--results", str(results), *options]
        done = CliRunner().invoke(application, arguments)
        assert done.exit_code == 0, done.output
        (folder,) = results.glob("*/*")
        return folder

    return carry_out


def compared(*arguments: Any) -> tuple[str, dict[str, Any]]:
    command = ["compare", "--across", "experiment", "--metrics", "packet_digest"]
    words = [*command, *map(str, arguments)]
    table = CliRunner().invoke(application, words).stdout
    found = json.loads(CliRunner().invoke(application, [*words, "--json"]).stdout)
    (change,) = found["changes"]
    return table, change


def test_equal_runs_have_the_same_number(run: Any) -> None:
    table, change = compared(run("one"), run("two"))
    assert change["verdict"] == "pass"
    assert " the same " in table


@pytest.mark.parametrize(
    "option",
    [
        ("--seed", "2"),
        ("--set", "links.lte.delay=16ms"),
        ("--set", "links.wifi.middlebox=rewrite_sequence"),
        ("--set", "links.wifi.middlebox=[{split: {size: 700}}]"),
    ],
)
def test_any_other_packet_is_a_change_without_a_size(run: Any, option: tuple[str, ...]) -> None:
    table, change = compared("--force", "--threshold", "0.5", run("one"), run("two", *option))
    assert (change["verdict"], change["relative"]) == ("changed", None)
    assert " other " in table


def test_watching_changes_nothing(run: Any) -> None:
    one, two = (
        json.loads((folder / "runs" / "0001" / "run.json").read_text())["metrics"]
        for folder in (run("with"), run("without", "--set", "probes=[]"))
    )
    assert one.pop("packet_digest") > 0
    assert {name: one[name] for name in two} == two
