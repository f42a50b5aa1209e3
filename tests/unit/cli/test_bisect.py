"""`testbed bisect` over the commits of a small program that stands for testbed.

It copies a result folder, and scales the goodput by what its checkout says.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from testbed.campaign import runner
from testbed.campaign.bisect import places
from testbed.cli.application import application
from testbed.errors import MachineError
from testbed.experiment.load import load
from testbed.experiment.overrides import Overrides
from testbed.experiment.venue import SIMULATION
from testbed.machine.uml import builds
from tests.folders import keep
from tests.unit.campaign.bisect import repository
from tests.unit.campaign.bisect.repository import git

ROOT = Path(__file__).parents[3]
EXPERIMENT = """\
topology: {nodes: {client: {}, server: {}}, links: {wifi: {between: [client, server], netem: {}}}}
workload: {kind: bulk, from: client, to: server, size: 1MB}
stacks: [userspace]
repetitions: 1
"""
PROGRAM = """\
import json, os, pathlib, shutil, signal, subprocess, sys

here = pathlib.Path(__file__).parents[1]
assert pathlib.Path.cwd() == here
assert sys.argv[1] == "run" and sys.argv[-2] == "--results", sys.argv
speed = (here / "version").read_text().split()[0]
if speed == "broken":
    sys.exit("testbed: it does not run")
if speed == "slow" and "TESTBED_TEST_GO" not in os.environ:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    print("it waits", file=sys.stderr, flush=True)
    signal.pause()
folder = pathlib.Path(sys.argv[-1], "try", "20260101T000000Z-0")
shutil.copytree(os.environ["TESTBED_TEST_TEMPLATE"], folder)
where = folder / "environment.json"
environment = json.loads(where.read_text())
head = subprocess.check_output(["git", "-C", here, "rev-parse", "HEAD"], text=True).strip()
environment["checkout"] = {"commit": head, "dirty": False}
where.write_text(json.dumps(environment))
(path,) = folder.glob("runs/*/run.json")
run = json.loads(path.read_text())
run["metrics"]["goodput"] *= 0.5 if speed == "slow" else float(speed)
path.write_text(json.dumps(run))
print("try: 1/1 userspace: ok", file=sys.stderr)
"""
VERSIONS = ["1", "1", "1", "slow", "0.5", "0.5"]
# Stands for the interpreter of the steps: the kernel of the machine is as fast as its tree says.
INTERPRETER = """\
#!{python}
import json, os, pathlib, shutil, sys

*_, option, machine, results, where = sys.argv
assert (option, results) == ("--machine", "--results"), sys.argv
tree = pathlib.Path(machine.removeprefix("uml:"))
folder = pathlib.Path(where, "try", "20260101T000000Z-0")
shutil.copytree(os.environ["TESTBED_TEST_TEMPLATE"], folder)
(path,) = folder.glob("runs/*/run.json")
run = json.loads(path.read_text())
run["metrics"]["goodput"] *= float((tree / "version").read_text().split()[0])
path.write_text(json.dumps(run))
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Return a function that makes a checkout, and stands in it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = tmp_path / "try.yaml"
    file.write_text(EXPERIMENT)
    experiment = load(file, Overrides(machine=SIMULATION))
    store = runner.create(experiment, tmp_path / "template")
    (planned,) = runner.plan(experiment)
    keep(store, planned, {"goodput": 40e6, "duration": 0.2})
    monkeypatch.setenv("TESTBED_TEST_TEMPLATE", str(store.path))
    monkeypatch.setenv("TESTBED_TEST_GO", "1")

    def make(versions=VERSIONS):
        tree = tmp_path / "project"
        files = {"testbed/__main__.py": PROGRAM, "testbed/__init__.py": ""}
        commits = repository.make(tree, files, versions)
        monkeypatch.chdir(tree)
        return commits

    return make


def arguments(commits, *more):
    ends = ("--good", commits[0], "--metrics", "goodput", "--results", "../out")
    return ["bisect", *ends, *more, "--", "../try.yaml"]


def invoke(*given):
    return CliRunner().invoke(application, list(given))


def test_the_commit_is_found(project, tmp_path):
    commits = project()
    done = invoke(*arguments(commits))
    assert done.exit_code == 0, done.output
    shown = done.stdout.splitlines()
    culprit = f"{commits[3][:9]} Version 3 is slow"
    assert f"the first commit that is worse: {culprit}" in shown
    assert f"try: {commits[3][:9]} against {commits[0][:9]}" in shown
    assert any("-50.0%" in line and line.rstrip().endswith("regressed") for line in shown)
    (folder,) = (tmp_path / "out").iterdir()
    assert shown[-1] == f"Results: ../out/{folder.name}"
    steps = {path.name for path in folder.iterdir() if path.is_dir()}
    assert {f"00-{commits[0][:9]}", f"01-{commits[5][:9]}"} < steps
    assert f"{culprit}: bad: goodput of userspace: -50.0%, regressed" in done.stderr
    assert "  try: 1/1 userspace: ok" in done.stderr
    # Neither the user's checkout nor the list of worktrees shows that it was there.
    assert git(Path.cwd(), "status", "--porcelain") == ""
    assert git(Path.cwd(), "worktree", "list").count("\n") == 0
    assert list((tmp_path / "cache" / "testbed" / "bisect").iterdir()) == []


def test_commits_of_a_kernel_are_built_and_one_that_is_not_is_passed_over(
    project, tmp_path, monkeypatch
):
    project()
    tree = tmp_path / "linux"
    commits = repository.make(tree, {"arch/um/Kconfig": ""}, ["1", "1", "broken", "1", "0.5"])
    interpreter = tmp_path / "interpreter"
    interpreter.write_text(INTERPRETER.format(python=sys.executable))
    interpreter.chmod(0o755)

    def build(source, watcher):
        version = Path(source, "version").read_text().split()[0]
        (builds.of_tree(Path(source)) / builds.LOG).write_text(f"of {version}\n")
        watcher.step(f"compiling {version}")
        if version == "broken":
            raise MachineError("the build of the kernel failed: it is broken")

    monkeypatch.setattr(places, "build", build)
    options = ("--tree", str(tree), "--python", str(interpreter))
    done = invoke(*arguments(commits, *options))
    assert done.exit_code == 0, done.output
    assert f"the first commit that is worse: {commits[4][:9]} Version 4 is 0.5" in done.stdout
    assert "skip: the build of the kernel failed: it is broken; see" in done.stderr
    assert "compiling broken" in done.stderr
    (folder,) = (tmp_path / "out").iterdir()
    assert (folder / f"02-{commits[2][:9]}" / "build.log").read_text() == "of broken\n"
    assert f"git bisect skip {commits[2]}" in (folder / "git-bisect.log").read_text().splitlines()
    assert git(tree, "worktree", "list").count("\n") == 0


def test_json_is_one_document(project):
    commits = project(["1", "0.8", "0.8"])
    done = invoke(*arguments(commits, "--json"))
    found = json.loads(done.stdout)
    assert found["culprit"] == {"name": commits[1], "subject": "Version 1 is 0.8"}
    assert [step["judgement"] for step in found["steps"]] == ["bad", "bad"]
    assert found["comparison"]["counts"] == {"regressed": 1}


def test_what_does_not_run_is_skipped_and_may_be_it(project):
    commits = project(["1", "broken", "broken", "0.5"])
    done = invoke(*arguments(commits))
    assert done.exit_code == 1
    shown = done.stdout.splitlines()
    first = shown.index("the first commit that is worse is one of these:")
    assert {line.split()[0] for line in shown[first + 1 : -1]} == {it[:9] for it in commits[1:]}
    assert "skip: it does not run" in done.stderr


def test_what_became_better_has_other_words(project):
    commits = project(["1", "1.5", "1.5"])
    assert invoke(*arguments(commits)).exit_code == 2
    done = invoke(*arguments(commits, "--new-is-better"))
    assert done.exit_code == 0
    assert f"the first commit that is better: {commits[1][:9]} Version 1 is 1.5" in done.stdout
    assert "bad" not in done.stdout


def test_ends_that_do_not_differ_are_2_and_shown(project):
    commits = project(["1", "1"])
    done = invoke(*arguments(commits))
    assert done.exit_code == 2
    one, other = (commit[:9] for commit in commits)
    assert f"try: {other} against {one}" in done.stderr  # the table
    assert done.stderr.splitlines()[-1].startswith(f"testbed: {other} is not worse than {one} (")
    assert invoke(*arguments(commits, "--across", "colour")).stderr.count("no such fact") == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--good", "HEAD~1"], "give the experiment after --: testbed bisect"),
        (["--good", "HEAD~1", "--", "nowhere.yaml"], "there is no experiment nowhere.yaml"),
        (["--good", "nowhere", "--", "FILE"], "has no commit nowhere"),
        (["--good", "HEAD", "--", "FILE"], "--good and --bad are the same commit"),
        (["--", "FILE"], "--good is missing"),
        (
            ["--good", "HEAD~1", "--", "FILE", "--results=x"],
            "--results is not allowed: a search of",
        ),
        (["--good", "HEAD~1", "--tree", "..", "--", "FILE"], "not a git repository"),
        (["--kernels", "uml:6.1", "--", "FILE"], "two or more different machines"),
        (["--kernels", "uml:6.1,vax:1", "--", "FILE"], "'vax' is not a machine"),
        (
            ["--kernels", "uml:6.1,uml:7.3", "--", "FILE", "--sim"],
            "--sim is not allowed: a search of",
        ),
        (["--resume", "nowhere"], "nowhere is not the folder of a search"),
        (["--resume", ".", "--good", "HEAD"], "--resume continues a search without changes"),
    ],
)
def test_bad_input_is_one_line_and_2(project, given, message):
    project(["1", "0.5"])
    done = invoke("bisect", *(it.replace("FILE", "../try.yaml") for it in given))
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert message in done.stderr


def test_an_interpreter_that_is_not_there_is_one_line_and_2(project):
    commits = project(["1", "0.5"])
    done = invoke(*arguments(commits, "--python", "/nowhere/python"))
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1] == (
        "testbed: /nowhere/python cannot be used: No such file or directory; "
        "choose the interpreter of the steps with --python"
    )
    assert git(Path.cwd(), "worktree", "list").count("\n") <= 1


def test_another_testbed_than_that_of_the_commit_is_refused(project, monkeypatch):
    commits = project(["1", "0.5"])
    other = PROGRAM.replace('"commit": head', '"commit": "f" * 40')
    Path("testbed/__main__.py").write_text(other)
    git(Path.cwd(), "commit", "--quiet", "--all", "-m", "Say another commit")
    done = invoke(*arguments(commits))
    assert done.exit_code == 1
    assert f"the testbed of {'f' * 40} ran instead" in done.stderr


def test_after_ctrl_c_it_goes_on_where_it_was(project, tmp_path):
    commits = project()
    environment = {name: it for name, it in os.environ.items() if name != "TESTBED_TEST_GO"}
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "testbed", *arguments(commits)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=environment | {"PYTHONPATH": str(ROOT)},
    )
    with child:
        said = []
        for line in child.stderr:
            said.append(line)
            if line == "  it waits\n":
                child.send_signal(signal.SIGINT)
    assert child.returncode == 130
    (folder,) = (tmp_path / "out").iterdir()
    assert said[-2:] == [
        f"continue with: testbed bisect --resume ../out/{folder.name}\n",
        "testbed: interrupted\n",
    ]
    assert git(Path.cwd(), "worktree", "list").count("\n") == 0
    done = invoke("bisect", "--resume", str(folder))
    assert done.exit_code == 0, done.output
    assert "Version 3 is slow" in done.stdout.splitlines()[-2]
    assert "(an end)" not in done.stderr  # they were measured before
