"""``testbed init``: the folder it makes works."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from testbed.cli.application import application

jsonschema = pytest.importorskip("jsonschema", reason="check-jsonschema brings it along")


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(application, ["init", "project"])
    assert result.exit_code == 0, result.output
    return tmp_path / "project"


def test_it_has_all_there_is_to_begin_with(project):
    names = {str(path.relative_to(project)) for path in project.rglob("*") if path.is_file()}
    assert names >= {
        ".github/workflows/mptcp.yml", "README.md", "pyproject.toml",
        "schemas/experiment.schema.json", "schemas/topology.schema.json",
        "tests/handover.yaml", "tests/test_my_change.py", "tests/two_paths.yaml",
    }  # fmt: skip


def test_each_file_is_valid_by_the_schema_it_names(project):
    files = sorted((project / "tests").glob("*.yaml"))
    assert files
    for file in files:
        first = file.read_text().splitlines()[0]
        mark = "# yaml-language-server: $schema="
        assert first.startswith(mark)
        schema = file.parent / first.removeprefix(mark)
        jsonschema.validate(yaml.safe_load(file.read_text()), json.loads(schema.read_text()))


def test_files_that_are_there_are_kept_and_schemas_written_again(project):
    (project / "README.md").write_text("mine")
    (project / "schemas" / "topology.schema.json").write_text("old")
    (project / "pyproject.toml").unlink()
    result = CliRunner().invoke(application, ["init", "project"])
    assert result.exit_code == 0
    assert "kept project/README.md" in result.stdout
    assert "wrote project/pyproject.toml" in result.stdout
    assert (project / "README.md").read_text() == "mine"
    assert yaml.safe_load((project / "schemas" / "topology.schema.json").read_text())["title"]


def next_line(folder):
    return CliRunner().invoke(application, ["init", folder]).stdout.splitlines()[-1]


def test_the_next_step_takes_the_pytest_that_has_the_plugin(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ours = Path(sys.executable).with_name("pytest")
    theirs = tmp_path / "pytest"
    theirs.write_text("#!/bin/sh\n")
    theirs.chmod(0o755)
    by_name = "pytest --testbed-machine sim"
    for found, argv in ((ours, by_name), (theirs, f"{sys.executable} -m {by_name}")):
        monkeypatch.setenv("PATH", str(found.parent))
        assert next_line("my tests") == f"Next: cd 'my tests' && {argv}"


def test_the_next_step_installs_pytest_if_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "pytest", None)
    install = f"{sys.executable} -m pip install pytest"
    run = f"{sys.executable} -m pytest --testbed-machine sim"
    assert next_line("mine") == f"Next: {install} && cd mine && {run}"


def test_where_a_folder_cannot_be_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(application, ["init", "file"])
    assert (result.exit_code, result.stderr) == (2, "testbed: file: is not a directory\n")
    result = CliRunner().invoke(application, ["init", "file/below"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Not a directory" in result.stderr
