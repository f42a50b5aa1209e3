"""What comes with testbed is found by name, listed and copied."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from testbed import shipped
from testbed.cli.application import application
from testbed.errors import InputError
from testbed.papers import load as papers

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(application, list(arguments))


@pytest.mark.parametrize("kind", ["topologies", "experiments"])
def test_every_file_of_the_folder_is_listed_with_a_line_about_it(kind, run):
    found = json.loads(run(kind, "list", "--json").stdout)
    assert {it["name"] for it in found} >= {path.stem for path in (ROOT / kind).glob("*.yaml")}
    assert [it["name"] for it in found if not it["description"]] == []


def test_an_experiment_is_copied_with_its_topology(run, tmp_path):
    result = run("experiments", "copy", "quickstart", "--to", "mine")
    assert result.exit_code == 0, result.output
    assert sorted(result.stdout.split()) == [
        "mine/experiments/quickstart.yaml", "mine/topologies/two_paths.yaml",
    ]  # fmt: skip
    assert run("check", "--sim", "mine/experiments/quickstart.yaml").exit_code == 0


def test_all_copies_are_right(run):
    assert run("topologies", "copy", "--all").exit_code == 0
    checked = run("check", *map(str, sorted(Path("topologies").rglob("*.yaml"))))
    assert checked.exit_code == 0, checked.output


def test_a_copy_overwrites_nothing(run, tmp_path):
    (tmp_path / "topologies").mkdir()
    (tmp_path / "topologies" / "two_paths.yaml").write_text("mine")
    result = run("experiments", "copy", "quickstart")
    assert result.exit_code == 2
    assert "topologies/two_paths.yaml: already there; --force overwrites" in result.stderr
    assert not (tmp_path / "experiments").exists()
    assert run("experiments", "copy", "quickstart", "--force").exit_code == 0
    assert (tmp_path / "topologies" / "two_paths.yaml").read_text() != "mine"


@pytest.mark.parametrize("arguments", [[], ["quickstart", "--all"]])
def test_copy_wants_names_or_all(run, arguments):
    assert run("experiments", "copy", *arguments).exit_code == 2


def test_an_unknown_name_has_the_nearest(run):
    result = run("experiments", "copy", "quickstrat")
    assert result.exit_code == 2
    assert "there is no experiment 'quickstrat'; did you mean 'quickstart'?" in result.stderr


def test_commands_take_the_names(run):
    assert run("check", "two_paths").exit_code == 0
    assert run("plan", "two_paths").exit_code == 0
    result = run("run", "--sim", "--dry-run", "quickstart")
    assert result.exit_code == 0, result.output
    assert "quickstart: 5 runs" in result.output


@pytest.mark.parametrize(
    ("command", "what", "near"),
    [
        (("run", "--sim", "quickstrat"), "experiment", "quickstart"),
        (("plan", "two_path"), "topology", "two_paths"),
        (("check", "two_path"), "experiment or topology", "two_paths"),
    ],
)
def test_a_misspelt_name_has_the_nearest(run, command, what, near):
    result = run(*command)
    assert result.exit_code == 2
    said = f"there is no file {command[-1]!r} and no {what} of that name that comes with testbed"
    assert f"{said}; did you mean {near!r}?" in result.output


def test_a_name_like_none_of_ours_is_a_file_that_is_not_there(run):
    assert "cannot be read: No such file or directory" in run("plan", "zzz").output


def test_a_file_of_that_name_goes_before(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here = Path("quickstart")
    assert shipped.located(here, "experiments") != here
    here.write_text("")
    assert shipped.located(here, "experiments") == here


def test_a_folder_of_that_name_is_no_file(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("quickstart", "two_paths", "other"):
        Path(name).mkdir()
    assert "virtual time" in run("run", "--sim", "--dry-run", "quickstart").output
    assert run("plan", "two_paths").exit_code == 0
    assert "other: cannot be read: Is a directory" in run("plan", "other").output


@pytest.mark.parametrize("name", ["../README", "nothing", "", "x" * 5000, "a\0b"])
def test_a_name_that_is_none_leads_nowhere(name):
    with pytest.raises(InputError, match="there is no topology"):
        shipped.find("topologies", name)


def test_publications_are_there_outside_of_a_checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert papers.find("rfc6356").folder.name == "rfc6356"


def test_pages_are_no_experiments() -> None:
    assert not [name for name in shipped.names("experiments") if name.startswith("pages/")]
    files = shipped.bundle(shipped.find("experiments", "web"))
    assert {"shop.yaml", "two_paths.yaml"} <= {file.name for file in files}
