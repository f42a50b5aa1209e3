"""`testbed papers`, and `testbed run` of the folder of a publication; our stacks are simulated."""

from __future__ import annotations

import json
import os

import pytest
from typer.testing import CliRunner

from testbed.cli import elsewhere, publications
from testbed.cli.application import application
from testbed.errors import PlatformError
from testbed.papers.template import new


@pytest.fixture
def there(tmp_path, monkeypatch):
    """Be in a clone that has one publication, a quick one."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "experiments" / "papers" / "trial"
    new("trial", folder.parent)
    change(folder / "example.yaml", "size: 2MB", "size: 200KB")
    change(folder / "example.yaml", "at_least: 1.5", "at_least: 1.2")
    return folder


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def said(*command, code=0):
    done = CliRunner().invoke(application, [*map(str, command)])
    assert done.exit_code == code, done.output
    return done


def test_a_publication_is_run_kept_shown_and_gone_on_with(there):
    said("papers", "run", "trial", "--only", "ours", "--keep")
    (listed,) = json.loads(said("papers", "list", "--json").stdout)
    assert listed["claims"][0]["sides"]["ours"]["word"] == "reproduced"
    assert listed["claims"][0]["sides"]["kernel"]["why"] == "it has not been measured"
    _, row, _ = said("papers", "list").stdout.splitlines()
    assert row.split()[:6] == ["trial", "1", "-", "1", "of", "1"]  # the kernel's is not judged
    done = said("papers", "show", "trial", "--kept", "--page", "trial.html")
    assert "adds_up, ours: reproduced" in done.stdout
    assert "Values: experiments/papers/trial/measured.json" in done.stdout
    assert "The title of the publication" in (there.parents[2] / "trial.html").read_text()
    again = said("papers", "run", "--only", "ours", "--resume", "--json")
    assert "1/2" not in again.stderr  # nothing was left to do
    assert json.loads(again.stdout)[0]["claims"][0]["sides"]["ours"]["word"] == "reproduced"


def test_a_run_ends_with_a_page_and_show_has_its_values(there):
    done = said("papers", "run", "trial", "--only", "ours")
    assert "Page: results/papers/trial/report.html" in done.stdout
    page = (there.parents[2] / "results" / "papers" / "trial" / "report.html").read_text()
    assert "reproduced</span> by ours: 1 claim" in page
    assert not (there / "measured.json").exists()
    done = said("papers", "show", "trial")
    assert "adds_up, ours: reproduced" in done.stdout
    assert "Values: results/papers/trial/measured.json" in done.stdout
    assert "it has not been measured" in said("papers", "show", "trial", "--kept").stdout


def test_what_interrupts_says_how_to_go_on(there, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(publications, "_side", interrupt)
    done = said("papers", "run", "trial", "--only", "ours", code=130)
    assert "the same command with --resume continues" in done.stderr


def test_quick_runs_what_the_first_claim_needs(there):
    text = (there / "example.yaml").read_text().replace("repetitions: 1", "repetitions: 5")
    (there / "example.yaml").write_text(text)
    done = said("papers", "run", "--quick", "--only", "ours")
    assert "2/2" in done.stderr


def test_a_claim_that_fails_without_a_reason_is_exit_code_3(there):
    change(there / "example.yaml", "at_least: 1.2", "at_least: 5")
    done = said("papers", "run", "--only", "ours", code=3)
    assert "the ours side did not reproduce adds_up" in done.stderr


def test_a_machine_that_does_not_work_is_exit_code_4(there, monkeypatch):
    def refuse(machine, others=()):
        raise PlatformError(
            f"the machine {machine.name}", why="it is not built", instead="build it"
        )

    monkeypatch.setattr(elsewhere, "check", refuse)
    done = said("run", there, code=4)
    assert "uml:7.3+virtual-time: it is not built; build it" in done.stderr
    assert "reproduced" in done.stdout  # reproduced by our stack


def test_a_folder_that_cannot_be_made_is_exit_code_2_though_nothing_ran(there, monkeypatch):
    def refuse(machine, others=()):
        raise PlatformError("the machine", why="it is not built", instead="build it")

    monkeypatch.setattr(elsewhere, "check", refuse)
    where = "/proc/nowhere"
    done = said("papers", "run", "trial", "--only", "kernel", "--results", where, code=2)
    assert f"results cannot be written to {where}/trial: " in done.stderr


def test_check_knows_a_publication(there):
    done = said("check", there / "published.yaml")
    assert done.stdout.endswith("published.yaml: publication, 1 claims, 1 experiments\n")
    change(there / "published.yaml", "claim: adds_up", "claim: adds")
    assert "there is no claim 'adds'" in said("check", there / "published.yaml", code=2).stdout


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (("papers", "run", "--only", "theirs"), "no such side"),
        (("papers", "run", "--again"), "--again needs --resume"),
        (("papers", "run", "--quick", "--keep"), "--keep cannot be used with --quick"),
        (("papers", "run", "--full", "--sample", "3"), "--full cannot be used with --quick or"),
        (("papers", "run", "trail"), "did you mean 'trial'"),
        (("papers", "run", "--experiment", "exampel"), "did you mean 'example'"),
        (("papers", "new", "trial"), "exists already"),
        (("papers", "new", "A B"), "is not a valid name"),
        (("run", "--sim", "experiments/papers/trial"), "do not apply to publications"),
        (("run", "experiments/papers"), "no publication 'experiments/papers'"),
        (("run", "--sim", "experiments/papers"), "no publication 'experiments/papers'"),
    ],
)
def test_what_makes_no_sense_is_exit_code_2(there, command, text):
    assert text in said(*command, code=2).stderr.replace("\n", " ")


@pytest.mark.parametrize(
    ("place", "options"),
    [("results/papers/trial", ()), ("experiments/papers/trial", ("--keep",))],
)
def test_damaged_values_are_found_before_anything_runs(there, place, options):
    folder = there.parents[2] / place
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "measured.json").write_text("{")
    done = said("papers", "run", "trial", "--only", "ours", *options, code=1)
    assert "measured.json is damaged" in done.stderr
    assert "1/2" not in done.stderr


def test_a_folder_that_cannot_be_written_is_found_before_anything_runs(there, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith(there.name))
    done = said("papers", "run", "trial", "--only", "ours", "--keep", code=1)
    assert "measured.json cannot be written" in done.stderr
    assert "1/2" not in done.stderr


def test_a_publication_that_is_named_twice_runs_once(there):
    done = said("papers", "run", "trial", "trial", "--only", "ours")
    assert done.stderr.count("1/2") == 1
    assert "Page: results/papers/trial/report.html" in done.stdout


def test_show_names_no_file_of_values_that_is_not_there(there):
    assert "Values:" not in said("papers", "show", "trial").stdout
