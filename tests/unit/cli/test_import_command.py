"""``testbed import``: where the result goes, notes, and what is refused."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from testbed.cli.application import application

TOPOLOGY = "path_0:10,5\npath_1:20,5\n"
CHANGING = f"{TOPOLOGY}changeNetem:yes\nnetemAt_0:1,delay 20ms\n"


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "topo").write_text(TOPOLOGY)
    (tmp_path / "changing").write_text(CHANGING)
    return lambda *arguments: CliRunner().invoke(application, ["import", *arguments])


def test_a_topology_on_standard_output_can_be_checked(run, tmp_path):
    result = run("minitopo", "topo")
    assert (result.exit_code, result.stderr) == (0, "")
    (tmp_path / "topology.yaml").write_text(result.stdout)
    checked = CliRunner().invoke(application, ["check", "topology.yaml"])
    assert checked.output.startswith("topology.yaml: topology, 3 nodes, 3 links, 2 wires")


def test_notes_are_told_and_stand_in_the_file(run, tmp_path):
    result = run("minitopo", "changing", "-o", "out.yaml")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("note: netemAt: changes over time belong to an experiment")
    assert "# Note: netemAt: " in (tmp_path / "out.yaml").read_text()


def test_a_file_that_is_there_is_kept(run, tmp_path):
    (tmp_path / "out.yaml").write_text("mine")
    result = run("minitopo", "topo", "-o", "out.yaml")
    assert result.exit_code == 2
    assert result.stderr == "testbed: out.yaml exists already; --force overwrites it\n"
    assert (tmp_path / "out.yaml").read_text() == "mine"
    assert run("minitopo", "topo", "-o", "out.yaml", "--force").exit_code == 0
    assert (tmp_path / "out.yaml").read_text() != "mine"


def test_json_has_the_data_and_the_notes(run):
    found = json.loads(run("minitopo", "changing", "--json").stdout)
    assert found["kind"] == "topology"
    assert [*found["data"]["links"]] == ["path0", "path1", "server0"]
    assert [note["where"] for note in found["notes"]] == ["netemAt"]


def test_a_topology_that_cannot_be_built_is_written_all_the_same(run, tmp_path):
    (tmp_path / "topo").write_text("leftSubnet:10.9.999.\npath_0:1,1\n")
    result = run("minitopo", "topo", "-o", "out.yaml")
    assert result.exit_code == 2
    assert result.stderr.startswith("testbed: topo, as imported: links.path0.between.client")
    assert (tmp_path / "out.yaml").exists()


@pytest.mark.parametrize("format_", ["topology-zoo", "rtt-matrix", "minitopo"])
@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("nowhere", "cannot be read: No such file or directory"),
        (".", "cannot be read: Is a directory"),
        ("binary", "cannot be read: it is not UTF-8 text"),
        ("/dev/full", "cannot be read: it is larger than 16 MiB"),
    ],
)
def test_the_reason_why_a_file_cannot_be_read(run, tmp_path, format_, file, reason):
    (tmp_path / "binary").write_bytes(b"\xff\0")
    result = run(format_, file)
    assert (result.exit_code, result.stderr) == (2, f"testbed: {file}: {reason}\n")


@pytest.mark.parametrize("script", ["net.py:", "./net.py:", ":", ":Topo"])
def test_a_script_or_a_topology_without_a_name(run, tmp_path, script):
    (tmp_path / "net.py").write_text("raise SystemExit('it ran')")
    result = run("mininet", script)
    missing = "topology" if "py" in script or script == ":" else "file"
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f"testbed: {script}: there is no name of a {missing} at the ':';"
        " write FILE.py or FILE.py:TOPO\n"
    )
