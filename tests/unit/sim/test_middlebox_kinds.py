"""Middleboxes as topologies write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from testbed import document
from testbed.cli.application import application
from testbed.errors import InputError
from testbed.sim.middlebox.kinds import KINDS, boxes
from testbed.topology.plan import plan
from testbed.topology.resolve import resolve
from testbed.topology.spec import TopologySpec

TEXT = """\
nodes: {client: {}, server: {}}
links:
  wifi: {between: [client, server], middlebox: BOX}
"""
EVERY = {
    "coalesce": "{size: 3000}",
    "nat": "{public: 10.9.9.9, outside: server}",
    "replay": "{chance: 0.5, delay: 20ms, where: data}",
    "rewrite_payload": "{find: a, replace: bb, toward: server}",
    "rewrite_sequence": "{}",
    "split": "{size: 100}",
    "strip_options": "{options: [mptcp, timestamps], where: syn, toward: client}",
}


def made(box: str) -> list[Any]:
    topology = resolve(document.loads(TEXT.replace("BOX", box), TopologySpec, "try.yaml"))
    return list(boxes(topology.links[0], "1"))


def test_every_kind_can_be_written() -> None:
    assert sorted(EVERY) == KINDS.own()
    found = [made(f"[{{{name}: {options}}}]")[0] for name, options in EVERY.items()]
    names = [type(box).__name__ for box in found]
    assert names == [
        "Coalesce", "Nat", "Replay", "RewritePayload", "RewriteSequence", "Split", "StripOptions"
    ]  # fmt: skip


def test_boxes_stand_in_the_order_in_which_they_are_written() -> None:
    found = made("[rewrite_sequence, {split: {size: 100}}]")
    assert [type(box).__name__ for box in found] == ["RewriteSequence", "Split"]
    assert [type(box).__name__ for box in made("rewrite_sequence")] == ["RewriteSequence"]
    assert made("null") == []


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ("splitt", "no middlebox 'splitt'.*'split'"),
        ("split", "middlebox 'split': .*missing required field `size`"),
        ("[{split: {size: 0}}]", "middlebox 'split': .*>= 1"),
        ("[{split: {sise: 5}}]", "middlebox 'split': .*unknown field `sise`"),
        ("[{strip_options: {options: [tfo]}}]", "no option 'tfo'"),
        ("[{strip_options: {toward: nobody}}]", "'nobody' is at no end of the link"),
        ("[{nat: {public: here, outside: server}}]", "'here' is no address"),
        ("[{replay: {delay: soon}}]", "middlebox 'replay'"),
        ("[{split: {size: 5}, replay: {}}]", "length <= 1"),
        ("7", "text or a list"),
    ],
)
def test_what_is_wrong_with_a_box_is_said(box: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        made(box)


@pytest.mark.parametrize("command", ["plan", "up"])
def test_a_network_of_namespaces_has_no_boxes(tmp_path: Path, command: str) -> None:
    with pytest.raises(InputError, match=r"links.wifi.middlebox: .*can only be simulated"):
        plan(resolve(document.loads(TEXT.replace("BOX", "rewrite_sequence"), TopologySpec, "x")))
    file = tmp_path / "try.yaml"
    file.write_text(TEXT.replace("BOX", "rewrite_sequence"))
    done = CliRunner().invoke(application, [command, str(file)])
    assert done.exit_code == 2
    where = f"{file}:3: links.wifi.middlebox: the middlebox 'rewrite_sequence' can only be"
    assert where in done.output


def test_a_topology_with_boxes_is_checked(tmp_path: Path) -> None:
    file = tmp_path / "try.yaml"
    file.write_text(TEXT.replace("BOX", "[rewrite_sequence, {split: {size: 9}}]"))
    done = CliRunner().invoke(application, ["check", str(file)])
    assert (done.exit_code, "2 middleboxes" in done.output) == (0, True), done.output
    file.write_text(TEXT.replace("BOX", "[{split: {size: 0}}]"))
    done = CliRunner().invoke(application, ["check", str(file)])
    assert done.exit_code == 2
    assert f"{file}:3: links.wifi.middlebox: middlebox 'split'" in done.output


EXPERIMENT = """\
topology:
  nodes: {client: {}, server: {}}
  links:
    wifi:
      between: [client, server]
      netem: {rate: 20mbit, delay: 10ms}
      middlebox: strip_options
stacks: [userspace-tcp, userspace]
workload: {kind: bulk, from: client, to: server, size: 100KB}
repetitions: 1
"""


def test_an_experiment_has_boxes_in_a_simulation_only(tmp_path: Path) -> None:
    file = tmp_path / "try.yaml"
    file.write_text(EXPERIMENT)
    done = CliRunner().invoke(application, ["check", str(file)])
    assert done.exit_code == 2
    assert done.output == (
        f"{file}:7: topology.links.wifi.middlebox: the middlebox 'strip_options' can only be "
        "simulated; add --sim\n"
    )
    assert CliRunner().invoke(application, ["check", "--sim", str(file)]).exit_code == 0


def test_the_box_does_what_it_says(tmp_path: Path) -> None:
    """Without their options, connections fall back, and a run of MPTCP proves nothing."""
    file = tmp_path / "try.yaml"
    file.write_text(EXPERIMENT)
    options = ["--sim", "--json", "--results", str(tmp_path / "results")]
    done = CliRunner().invoke(application, ["run", *options, str(file)])
    assert done.exit_code == 1
    found = {record["stack"]: record for record in map(_run, tmp_path.rglob("run.json"))}
    assert found["userspace-tcp"]["status"] == "ok"
    assert found["userspace"]["status"] == "invalid"
    assert found["userspace"]["reason"] == "mptcp was to run, but server saw tcp"


def _run(path: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(path.read_text())
    return record


def test_a_matrix_chooses_boxes(tmp_path: Path) -> None:
    file = tmp_path / "try.yaml"
    matrix = "matrix: {links.wifi.middlebox: [null, rewrite_sequence, strip_option]}\n"
    file.write_text(EXPERIMENT + matrix)
    done = CliRunner().invoke(application, ["check", "--sim", str(file)])
    assert done.exit_code == 2
    assert "links.wifi.middlebox = strip_option: " in done.output
    assert "no middlebox 'strip_option'; did you mean 'strip_options'?" in done.output
    file.write_text(EXPERIMENT + matrix.replace("strip_option]", "strip_options]"))
    done = CliRunner().invoke(application, ["check", "--sim", str(file)])
    assert done.exit_code == 0, done.output


def test_the_schema_knows_the_boxes() -> None:
    schema = json.loads(CliRunner().invoke(application, ["schema", "topology"]).stdout)
    names, listed, _ = schema["$defs"]["LinkSpec"]["properties"]["middlebox"]["anyOf"]
    assert names["enum"] == KINDS.own()
    assert sorted(listed["items"]["anyOf"][1]["properties"]) == KINDS.own()
