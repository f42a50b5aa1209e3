"""The reader of the output ends: a command stops without a word, as if killed by SIGPIPE."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from testbed.cli.ending import told

TESTBED = [sys.executable, "-m", "testbed"]
EXPERIMENT = """\
topology: {nodes: {a: {}, b: {}}, links: {ab: {between: [a, b]}}}
stacks: [userspace-tcp]
repetitions: 1
workload: {kind: bulk, size: 64kb, from: a, to: b}
"""


def run_into_closed_pipe(*arguments, cwd, errors=subprocess.PIPE):
    """Run a command whose standard output is a pipe without a reader."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as output:
        return subprocess.run(
            [*TESTBED, *arguments], stdout=output, stderr=errors, text=True, check=False, cwd=cwd
        )


@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],
        ["run", "--help"],
        ["metrics"],  # a table
        ["metrics", "--json"],
        ["schema"],
        ["stacks"],
        ["man"],
        ["check", "shipped.yaml"],
        ["run", "--dry-run", "--sim", "shipped.yaml"],
    ],
    ids=" ".join,
)
def test_a_command_stops_quietly(arguments, tmp_path):
    (tmp_path / "shipped.yaml").write_text(EXPERIMENT)
    done = run_into_closed_pipe(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.fixture
def two(tmp_path):
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(EXPERIMENT)
    return tmp_path


def test_run_stops_and_keeps_the_results(two):
    done = run_into_closed_pipe("run", "--sim", "one.yaml", "two.yaml", cwd=two)
    (folder,) = two.glob("results/one/*")
    assert done.returncode == 141
    assert done.stderr.splitlines()[-1] == f"Results: {folder.relative_to(two)}"
    assert (folder / "summary.json").exists()
    assert not (two / "results/two").exists()
    resumed = subprocess.run([*TESTBED, "run", "--resume", folder], cwd=two, check=False)
    assert resumed.returncode == 0


def test_run_with_json_does_all_runs(two):
    """Its only output comes at the end."""
    done = run_into_closed_pipe("run", "--sim", "--json", "one.yaml", "two.yaml", cwd=two)
    assert done.returncode == 141
    assert {path.parts[-3] for path in two.glob("results/*/*/summary.json")} == {"one", "two"}


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_messages_and_output_in_the_same_closed_pipe(two, jobs):
    options = ("--repetitions", "4", "--seed", "1", "--jobs", jobs)
    done = run_into_closed_pipe(
        "run", "--sim", "one.yaml", *options, cwd=two, errors=subprocess.STDOUT
    )
    assert done.returncode == 141
    (folder,) = two.glob("results/one/*")
    assert [*folder.glob("runs/*/run.json")]


def test_another_closed_pipe_is_an_error(capsys):
    with pytest.raises(SystemExit, match=r"^1$"), told():
        raise BrokenPipeError(32, "Broken pipe")
    assert capsys.readouterr().err == "testbed: another process closed a connection: Broken pipe\n"
