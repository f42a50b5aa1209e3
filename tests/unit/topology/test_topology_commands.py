"""``testbed check``, ``schema`` and ``plan``, as a user meets them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "testbed", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_check_prints_a_line_for_each_file(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("nodes: {a: {}}\nlinsk: {}\n")
    two_paths = "topologies/two_paths.yaml"
    done = run("check", str(bad), two_paths, "experiments/quickstart.yaml")
    assert done.returncode == 2
    first, second, third = done.stdout.splitlines()
    assert first == f"{bad}:2: linsk: unknown key; did you mean 'links'?"
    assert second == f"{two_paths}: topology, 2 nodes, 2 links, 2 wires, 62 operations"
    assert third.startswith("experiments/quickstart.yaml: experiment, ")
    assert run("check", two_paths).returncode == 0


def test_check_as_json(tmp_path: Path) -> None:
    done = run("check", "--json", str(tmp_path / "none.yaml"))
    assert done.returncode == 2
    (report,) = json.loads(done.stdout)
    assert report["ok"] is False
    assert "No such file" in report["error"]


@pytest.mark.parametrize("document", ["topology", "experiment"])
def test_schema_is_a_json_schema(document: str) -> None:
    schema = json.loads(run("schema", document).stdout)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    name = schema["$ref"].rsplit("/", 1)[1]
    assert schema["$defs"][name]["additionalProperties"] is False


def test_plan_and_its_difference() -> None:
    two_paths = "topologies/two_paths.yaml"
    done = run("plan", two_paths)
    assert done.stdout == (Path(__file__).parent / "two_paths.plan").read_text()
    operations = json.loads(run("plan", two_paths, "--json").stdout)["operations"]
    assert operations[0] == {"op": "AddNamespace", "namespace": "client"}
    assert run("plan", two_paths, "--diff", two_paths).stdout == ""
    difference = run("plan", two_paths, "--diff", "topologies/three_paths.yaml").stdout
    assert {line[:2] for line in difference.splitlines()} == {"- ", "+ "}


def test_bad_input_is_one_line_on_stderr_and_exit_code_2() -> None:
    done = run("plan", "topologies/none.yaml")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "testbed: topologies/none.yaml: cannot be read: No such file or directory\n"
    )
