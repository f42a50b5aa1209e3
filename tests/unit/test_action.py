"""The action for GitHub: its files are what GitHub wants, and its steps do what they say."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests import programs

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "action"
PROJECT = ROOT / "docs" / "examples" / "regression-project"
WORKFLOW = PROJECT / ".github" / "workflows" / "mptcp.yml"
NOTHING = {"TESTS": "", "EXPERIMENT": "", "BASELINE": "", "NO_SKIP": "false", "MACHINE": "host"}


@pytest.mark.parametrize(
    ("schema", "file"),
    [("vendor.github-actions", ROOT / "action.yml"), ("vendor.github-workflows", WORKFLOW)],
    ids=["action", "workflow"],
)
def test_files_are_what_github_wants(schema: str, file: Path) -> None:
    """By the schemas that check-jsonschema brings along."""
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_workflow_sets_inputs_that_there_are() -> None:
    inputs = yaml.safe_load((ROOT / "action.yml").read_text())["inputs"]
    jobs = yaml.safe_load(WORKFLOW.read_text())["jobs"].values()
    steps = [step for job in jobs for step in job["steps"] if "testbed" in step.get("uses", "")]
    assert len(steps) == 2
    for step in steps:
        assert step["with"].keys() <= inputs.keys()


def test_scripts_take_inputs_from_the_environment_alone() -> None:
    """Text of an input in a script would be carried out."""
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    scripts = [step["run"] for step in action["runs"]["steps"] if "run" in step]
    assert len(scripts) == 3
    assert not any("${{" in script for script in scripts)


class Runner:
    """A runner of GitHub, as a step sees it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.output = folder / "output"
        self.summary = folder / "summary"
        self._environment = environment | {
            "GITHUB_OUTPUT": str(self.output),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "RESULTS": str(folder / "results"),
        }

    def step(self, name: str, where: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [SCRIPT, name],
            cwd=where,
            env=self._environment | NOTHING | inputs,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def outputs(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self.output.read_text().splitlines())


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path, programs.environment(tmp_path / "path"))


def test_the_example_passes_in_a_simulation(runner: Runner, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(PROJECT, project)
    inputs = {"TESTS": "tests -p no:cacheprovider", "EXPERIMENT": "tests/handover.yaml"}
    done = runner.step("run", project, MACHINE="sim", **inputs)
    assert done.returncode == 0, done.stdout + done.stderr
    results = tmp_path / "results"
    assert runner.outputs == {"verdict": "passed", "results": str(results)}
    summary = runner.summary.read_text()
    assert "### Experiments on sim\n\n``````text\nhandover: " in summary
    assert "pass: duration of userspace is at most 5s" in summary
    assert "2 passed, 2 skipped" in summary
    assert "needs mptcp, kernel>=5.16: a simulation has no kernel" in summary
    assert (results / "pytest.xml").exists()
    kept = results.glob("tests_test_my_change.py/*/handover/*/experiment.json")
    assert [path.parts[-4] for path in sorted(kept)] == [
        "test_a_transfer_survives_its_first_path[10ms]",
        "test_a_transfer_survives_its_first_path[40ms]",
    ]


@pytest.mark.parametrize(
    ("experiment", "tests", "code", "verdict"),
    [
        (0, 0, 0, "passed"),
        (3, 0, 3, "regressed"),
        (3, 4, 1, "failed"),  # exit code 4 of pytest is an error, too
        (4, 0, 4, "impossible"),
        (4, 1, 1, "failed"),
        (1, 0, 1, "failed"),
        (0, 3, 1, "failed"),
        (130, 0, 130, "failed"),
    ],
)
def test_the_worst_verdict_counts(
    tmp_path: Path, experiment: int, tests: int, code: int, verdict: str
) -> None:
    folder = tmp_path / "programs"
    folder.mkdir()
    programs.program(folder / "testbed", f"exit {experiment}")
    programs.program(folder / "python", f"exit {tests}")
    runner = Runner(tmp_path, {"PATH": f"{folder}:/usr/bin:/bin"})
    assert runner.step("run", tmp_path, TESTS="t", EXPERIMENT="e").returncode == code
    assert runner.outputs["verdict"] == verdict


def test_every_baseline_is_checked(tmp_path: Path) -> None:
    programs.program(tmp_path / "testbed", 'echo "$@"; test "$3" = good || exit 3')
    runner = Runner(tmp_path, {"PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert runner.step("run", tmp_path, BASELINE="bad good").returncode == 3
    assert runner.outputs["verdict"] == "regressed"
    results = tmp_path / "results"
    command = f"baseline check good --results {results} --junit {results}/good.xml"
    assert f"### Baseline good\n\n``````text\n{command}\n``````\n" in runner.summary.read_text()


def test_a_step_without_work_fails(runner: Runner, tmp_path: Path) -> None:
    done = runner.step("run", tmp_path)
    assert done.returncode == 2
    assert "::error::testbed: there is nothing to run" in done.stdout
    assert runner.outputs["verdict"] == "failed"


@pytest.mark.parametrize(
    ("machine", "source"),
    [("uml:7.3+virtual-time", "debian:7.3"), ("uml:/src/linux+virtual-time", "/src/linux")],
)
def test_the_kernel_of_the_machine_is_built(tmp_path: Path, machine: str, source: str) -> None:
    programs.program(tmp_path / "testbed", 'echo "$@"')
    runner = Runner(tmp_path, {"PATH": f"{tmp_path}:/usr/bin:/bin"})
    done = runner.step("kernel", tmp_path, MACHINE=machine)
    assert done.stdout == f"machine build uml --source {source}\n"
