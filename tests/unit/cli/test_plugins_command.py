"""`testbed plugins`, and packages that are broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from testbed.cli import completion
from testbed.cli.application import application
from tests import example

GOOD = f"""\
{example.TOPOLOGY}
stacks: ["userspace(scheduler=minrtt, congestion=reno, path_manager=fullmesh)"]
workload: {{kind: reqres, from: client, to: server}}
repetitions: 2
"""
# For each group: an experiment that names `bad`, or one of our names that may clash.
NAMING = {
    "workloads": GOOD.replace("reqres", "NAME"),
    "probes": f"{GOOD}probes: [NAME]\n",
    "schedulers": GOOD.replace("minrtt", "NAME"),
    "congestion": GOOD.replace("reno", "NAME"),
    "path_managers": GOOD.replace("fullmesh", "NAME"),
    "middleboxes": GOOD.replace("delay: 10ms}", "delay: 10ms}, middlebox: NAME"),
    "metrics": f"{GOOD}expect: [{{metric: NAME, stack: {'X'}, at_least: 1}}]\n",
}
OURS = {
    "workloads": "reqres",
    "probes": "nstat",
    "schedulers": "minrtt",
    "congestion": "reno",
    "path_managers": "fullmesh",
    "middleboxes": "rewrite_sequence",
}
WRONG = {
    "workloads": "is not a PairedKind",
    "probes": "is not a subclass of Probe",
    "schedulers": "'Random' is not a scheduler: it lacks select, assign",
    "congestion": "'Random' is not a congestion control: it lacks start, resize,",
    "path_managers": "'Random' is not a path manager: it lacks established,",
    "middleboxes": "is not a Kind of middlebox",
    "metrics": "is not a Derivation",
}


def checked(site: Path, folder: Path, text: str) -> tuple[int, str]:
    """Check an experiment where something is installed."""
    (folder / "try.yaml").write_text(text)
    with example.beside(site):
        return invoked("check", "--sim", str(folder / "try.yaml"))


def invoked(*command: str) -> tuple[int, str]:
    """Return the exit code of a command and all that it says."""
    done = CliRunner().invoke(application, command)
    return done.exit_code, done.output


@pytest.mark.parametrize("group", example.GROUPS)
@pytest.mark.parametrize(
    ("value", "message"),
    [("nowhere:Bad", "ModuleNotFoundError: No module named 'nowhere'"), ("random:Random", None)],
    ids=["import", "type"],
)
def test_a_broken_package_is_named_where_it_is_used(
    tmp_path: Path, group: str, value: str, message: str | None
) -> None:
    entry_points = f"[testbed.{group}]\nbad = {value}\n"
    site = example.pretend(tmp_path / "site", entry_points)
    code, said = checked(site, tmp_path, NAMING[group].replace("NAME", "bad").replace("X", STACK))
    assert code == 2
    assert f"theirs 1.2, entry point 'bad' of testbed.{group}: " in said
    assert (message or WRONG[group]) in said
    assert said.count("\n") == 1
    assert said.startswith(f"{tmp_path}/try.yaml:")
    assert checked(site, tmp_path, GOOD)[0] == 0


STACK = '"userspace(scheduler=minrtt, congestion=reno, path_manager=fullmesh)"'


@pytest.mark.parametrize("group", OURS)
def test_a_name_of_ours_is_not_taken_over(tmp_path: Path, group: str) -> None:
    name = OURS[group]
    site = example.pretend(tmp_path / "site", f"[testbed.{group}]\n{name} = random:Random\n")
    code, said = checked(site, tmp_path, NAMING[group].replace("NAME", name))
    assert code == 2
    assert f"theirs 1.2, entry point {name!r} of testbed.{group}: a " in said
    assert "of this name already exists" in said


@pytest.mark.parametrize("group", OURS)
def test_a_name_that_two_packages_add_is_refused(tmp_path: Path, group: str) -> None:
    site = tmp_path / "site"
    for package in ("theirs", "others"):
        example.pretend(site, f"[testbed.{group}]\nbad = random:Random\n", package)
    code, said = checked(site, tmp_path, NAMING[group].replace("NAME", "bad"))
    assert code == 2
    assert "theirs 1.2" in said
    assert "others 1.2" in said


def test_a_metric_of_ours_is_not_taken_over(tmp_path: Path) -> None:
    value = "testbed.analysis.derived.wires:DERIVATION"
    site = example.pretend(tmp_path / "site", f"[testbed.metrics]\nmine = {value}\n")
    with example.beside(site):
        code, said = invoked("plugins", "metrics")
    assert code == 2
    assert said.splitlines()[-1] == (
        "testbed: theirs 1.2, entry point 'mine' of testbed.metrics: "
        "there is a metric 'dropped' already"
    )


def ran(site: Path, folder: Path) -> tuple[int, str]:
    """Run an experiment that names no plugin where something is installed."""
    (folder / "try.yaml").write_text(GOOD.replace("repetitions: 2", "repetitions: 1"))
    with example.beside(site):
        options = ["--sim", "--results", str(folder / "results")]
        return invoked("run", *options, str(folder / "try.yaml"))


def test_broken_metrics_are_left_out_of_a_run_and_told(tmp_path: Path) -> None:
    site = example.pretend(tmp_path / "site", "[testbed.metrics]\nbad = nowhere:Bad\n")
    told = (
        "testbed: left out: theirs 1.2, entry point 'bad' of testbed.metrics: "
        "ModuleNotFoundError: No module named 'nowhere'\n"
    )
    code, said = ran(site, tmp_path)
    assert (code, told in said) == (0, True), said
    with example.beside(site):
        code, said = invoked("metrics", "goodput")
    assert (code, told in said) == (0, True), said


FAILING = """\
from testbed.analysis.derived import Derivation
DERIVATION = Derivation(metrics=(), derive=lambda observed: 1 / 0)
"""


def test_a_derivation_that_fails_is_named(tmp_path: Path) -> None:
    site = example.pretend(tmp_path / "site", "[testbed.metrics]\nbad = failing:DERIVATION\n")
    (site / "failing.py").write_text(FAILING)
    code, said = ran(site, tmp_path)
    assert code == 2
    assert (
        "testbed: theirs 1.2, entry point 'bad' of testbed.metrics: "
        "failed: ZeroDivisionError: division by zero\n"
    ) in said


def test_every_group_is_listed(example_site: Path) -> None:
    with example.beside(example_site):
        code, said = invoked("plugins", "--json")
        _, shown = invoked("plugins", "schedulers")
    assert code == 0
    found = json.loads(said)
    assert found["errors"] == []
    assert list(found["groups"]) == [f"testbed.{group}" for group in example.GROUPS]
    for listed in found["groups"].values():
        (plugin,) = listed["plugins"]
        assert listed["own"]
        assert (plugin["distribution"], plugin["version"]) == ("testbed-example", "1.0")
        assert plugin["works"] is True
    assert shown == (
        "testbed.schedulers\n"
        "  testbed: blest, daps, dems, earliest, ecf, linux, minrtt, otias, redundant, roundrobin\n"
        "  testbed-example 1.0: sticky  (testbed_example.scheduler:Sticky)\n"
    )


def test_what_is_broken_is_listed_and_told(tmp_path: Path) -> None:
    site = example.pretend(tmp_path / "site", "[testbed.probes]\nbad = nowhere:Bad\n")
    with example.beside(site):
        code, said = invoked("plugins", "--json")
    assert code == 2
    found = json.loads(said)
    assert len(found["errors"]) == 1
    assert found["groups"]["testbed.probes"]["plugins"][0]["works"] is False


def test_an_unknown_group_and_the_completion_of_groups() -> None:
    done = CliRunner().invoke(application, ["plugins", "scheduler"])
    assert (done.exit_code, "did you mean 'schedulers'?" in done.output) == (2, True)
    assert list(completion.plugin_groups("p")) == ["probes", "path_managers"]


def test_the_start_of_a_program_reads_no_entry_points() -> None:
    code = (
        "import sys; sys.argv[1:] = ['--version']\n"
        "from testbed.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print({'importlib.metadata', 'testbed.registry'} & set(sys.modules))"
    )
    done = example.python(["-c", code], None, Path.cwd())
    assert done.stdout.splitlines()[-1] == "set()"
