"""Middleboxes as topologies write them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from random import Random
from typing import Any

import pytest
from typer.testing import CliRunner

from testbed import document
from testbed.cli.application import application
from testbed.errors import InputError
from testbed.middlebox.kinds import KINDS, boxes
from testbed.topology.changes import shape
from testbed.topology.operations import AddWire
from testbed.topology.plan import plan
from testbed.topology.resolve import resolve
from testbed.topology.spec import TopologySpec

TEXT = """\
nodes: {client: {}, server: {}}
links:
  wifi: {between: [client, server], middlebox: BOX}
"""
LONG = """
    between: [client, server]
    middlebox:"""
EVERY = {
    "clamp_mss": "{mss: 1000}",
    "coalesce": "{size: 1400, toward: client}",
    "firewall": "{options: [unknown], where: handshake}",
    "nat": "{public: 10.9.9.9, outside: server, timeout: 30s}",
    "policer": "{rate: 10mbit, burst: 32kb}",
    "replay": "{chance: 0.5, delay: 20ms, where: data}",
    "rewrite_payload": "{find: a, replace: bb, toward: server}",
    "rewrite_sequence": "{}",
    "split": "{size: 100}",
    "strip_options": "{options: [mptcp, timestamps], where: syn, toward: client}",
    "syn_proxy": "{protects: server}",
}


def made(box: str) -> list[Any]:
    topology = resolve(document.loads(TEXT.replace("BOX", box), TopologySpec, "try.yaml"))
    return list(boxes(topology.links[0].middlebox, ("client", "server"), 1500, "1", Random))


def test_every_kind_can_be_written() -> None:
    assert sorted(EVERY) == KINDS.own()
    found = [made(f"[{{{name}: {options}}}]")[0] for name, options in EVERY.items()]
    names = [type(box).__name__ for box in found]
    assert names == [
        "ClampMss", "Coalesce", "Firewall", "Nat", "Policer", "Replay", "RewritePayload",
        "RewriteSequence", "Split", "StripOptions", "SynProxy",
    ]  # fmt: skip


def test_boxes_stand_in_the_order_in_which_they_are_written() -> None:
    found = made("[rewrite_sequence, {split: {size: 100}}]")
    assert [type(box).__name__ for box in found] == ["RewriteSequence", "Split"]
    assert [type(box).__name__ for box in made("rewrite_sequence")] == ["RewriteSequence"]
    assert made("null") == []


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ("splitt", "middlebox: there is no middlebox 'splitt'; did you mean 'split'"),
        ("[rewrite_sequence, splitt]", r"middlebox\[1\]: there is no middlebox 'splitt'"),
        ("split", "middlebox: lacks the key 'size'"),
        ("[{split: {size: 0}}]", r"middlebox\[0\].split.size: expected a whole number >= 1"),
        ("[{split: {sise: 5}}]", "split.sise: unknown key; did you mean 'size'"),
        ("[{strip_options: {options: [mptpc]}}]", "no option 'mptpc'; did you mean 'mptcp'"),
        ("[{strip_options: {where: sin}}]", "strip_options.where: .*did you mean 'syn'"),
        ("[{strip_options: {toward: sever}}]", "'sever' is not an end .*did you mean 'server'"),
        ("[{coalesce: {size: 1461}}]", "do not fit into the link's MTU; at most 1460"),
        ("[{nat: {public: here, outside: server}}]", "'here' is not an address"),
        ("[{nat: {public: 10.9.9.9, outside: server, timeout: 0s}}]", "must be more than 0"),
        ("[{policer: {rate: fast}}]", "'fast' is not a rate"),
        ("[{policer: {rate: 1mbit, burst: 1000}}]", "never let a full packet"),
        ("[{replay: {delay: soon}}]", r"middlebox\[0\].replay: 'soon' is not a time"),
        ("[{split: {size: 5}, replay: {}}]", "length <= 1"),
        ("split(size=5", "is not a middlebox; write NAME, or"),
        ("split(5)", "'5' is not OPTION=VALUE; write for example split"),
        ("'split(size=5, size=6)'", "middlebox: split: size is given twice"),
        ("[{nat: {public: 224.0.0.1, outside: server}}]", "'224.0.0.1' is not an address of one"),
        ("[{nat: {public: 'fd00::1%eth0', outside: server}}]", "is not an address of one host"),
        ("[{nat: {public: 'fe80::1', outside: server}}]", "is not an address of one host"),
        ("split(sise=5)", "middlebox.sise: unknown key; did you mean 'size'"),
        ("7", "text or a list"),
    ],
)
def test_what_is_wrong_with_a_box_is_said(box: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        made(box)


def test_everything_wrong_with_boxes_is_said_at_once(tmp_path: Path) -> None:
    file = tmp_path / "try.yaml"
    rows = ("", "{split: {sise: 5}}", "rewrite_sequence", "{nat: {outside: server}}")
    text = TEXT.replace("{between: [client, server], middlebox: BOX}", LONG).rstrip()
    file.write_text(text + "\n      - ".join(rows) + "\n")
    done = CliRunner().invoke(application, ["check", str(file)])
    assert done.exit_code == 2
    wrong = [
        f"{file}:6: links.wifi.middlebox[0].split.sise: unknown key; did you mean 'size'?",
        f"{file}:8: links.wifi.middlebox[2].nat: lacks the key 'public'",
    ]
    assert [line for line in wrong if line not in done.output] == []


def planned(box: str, engine: str = "auto") -> AddWire:
    topology = resolve(document.loads(TEXT.replace("BOX", box), TopologySpec, "try.yaml"))
    wires = [it for it in plan(topology, engine=engine).operations if isinstance(it, AddWire)]
    (wire,) = wires
    return wire


def test_a_link_with_boxes_has_a_wire_that_the_emulator_carries() -> None:
    wire = planned("[rewrite_sequence, {split: {size: 500, toward: server}}]")
    assert (wire.engine, wire.nodes) == ("emulator", ("client", "server"))
    shown = "middlebox [rewrite_sequence, split(size=500, toward=server)]"
    assert str(wire).endswith(f"engine emulator seed {wire.seed} {shown}")
    assert planned("null, netem: {}").engine == "auto"


def test_netem_has_no_boxes() -> None:
    said = "links.wifi.middlebox: netem has no middleboxes, such as 'rewrite_sequence'; use"
    with pytest.raises(InputError, match=said):
        planned("rewrite_sequence", "netem")


def test_the_outer_node_knows_the_address_of_a_translator() -> None:
    box = "[{nat: {public: 10.0.0.99, outside: server}}]"
    topology = resolve(document.loads(TEXT.replace("BOX", box), TopologySpec, "try.yaml"))
    client, server = topology.nodes
    known = {each.address: each.mac for each in server.neighbours}
    assert known["10.0.0.99"] == client.interfaces[0].mac
    assert "10.0.0.99" not in {each.address for each in client.neighbours}


def test_boxes_cannot_be_changed_at_run_time() -> None:
    text = TEXT.replace("BOX", "rewrite_sequence")
    topology = resolve(document.loads(text, TopologySpec, "try.yaml"))
    with pytest.raises(InputError, match="middleboxes of link 'wifi' cannot be changed"):
        shape(topology, "wifi", None, {"middlebox": "none"})


def test_text_may_have_several_boxes() -> None:
    text = "clamp_mss(mss=700) rewrite_sequence  split( size=500, toward=client )"
    row = planned(f"{text!r}").middlebox
    assert list(map(str, row)) == [
        "clamp_mss(mss=700)",
        "rewrite_sequence",
        "split(size=500, toward=client)",
    ]


def test_text_has_the_options_of_a_box() -> None:
    """A box can be a value of the matrix, or of a case."""
    text = "strip_options(options=[mptcp, sack], where=syn_ack, toward=client)"
    for each in (f"{text!r}", f"[{text!r}]"):
        [wire] = planned(each).middlebox
        assert wire.options == {
            "options": ["mptcp", "sack"], "where": "syn_ack", "toward": "client"
        }  # fmt: skip
        assert str(wire) == text


def test_a_topology_with_boxes_is_checked(tmp_path: Path) -> None:
    file = tmp_path / "try.yaml"
    file.write_text(TEXT.replace("BOX", "[rewrite_sequence, {split: {size: 9}}]"))
    done = CliRunner().invoke(application, ["check", str(file)])
    assert (done.exit_code, "2 middleboxes" in done.output) == (0, True), done.output
    file.write_text(TEXT.replace("BOX", "[{split: {size: 0}}]"))
    done = CliRunner().invoke(application, ["check", str(file)])
    assert done.exit_code == 2
    assert f"{file}:3: links.wifi.middlebox[0].split.size: expected" in done.output


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


def test_an_experiment_with_boxes_excludes_netem(tmp_path: Path) -> None:
    file = tmp_path / "try.yaml"
    file.write_text(EXPERIMENT)
    assert CliRunner().invoke(application, ["check", str(file)]).exit_code == 0
    file.write_text(EXPERIMENT + "wire: netem\n")
    done = CliRunner().invoke(application, ["check", str(file)])
    assert done.exit_code == 2
    assert done.output == (
        f"{file}:7: topology.links.wifi.middlebox: netem has no middleboxes, such as "
        "'strip_options'; use the engine auto: then the emulator carries this link, and netem the "
        "others\n"
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
    assert found["userspace"]["reason"] == "mptcp was expected, but server used tcp"


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
    alone, listed, _ = schema["$defs"]["LinkSpec"]["properties"]["middlebox"]["anyOf"]
    names, text, with_options = listed["items"]["anyOf"]
    assert alone["anyOf"] == [names, text]
    assert [each["const"] for each in names["anyOf"]] == KINDS.own()
    assert all(each["description"] for each in names["anyOf"])
    assert re.fullmatch(text["pattern"], "split(size=500)")
    assert sorted(with_options["properties"]) == KINDS.own()
    described = [
        (kind.options.__name__, name)
        for kind in map(KINDS.find, KINDS.own())
        for name in kind.options.__struct_fields__
    ]
    options = schema["$defs"]
    silent = [it for it in described if "description" not in options[it[0]]["properties"][it[1]]]
    assert silent == []
