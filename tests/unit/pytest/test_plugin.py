"""The pytest plugin, by projects that use it on simulated networks."""

from __future__ import annotations

import fcntl
import re
import subprocess
import sys
from pathlib import Path

import pytest

import testbed.pytest.laboratory
from testbed.pytest.laboratory import folder_name
from tests import plugin

EXPERIMENT = """\
topology: two_paths.yaml
stacks: [userspace-tcp, userspace]
workload: {kind: bulk, from: client, to: server, size: 600KB}
repetitions: 1
"""
CLAIMS = """\
expect:
  - {metric: goodput, stack: userspace, relative_to: userspace-tcp, at_least: %s}
"""
TESTS = """\
import pytest
from testbed.pytest import (
    assert_at_least, assert_at_most, assert_not_regressed, assert_passes
)


def test_met(simulation):
    assert_passes(simulation("met.yaml"))


def test_unmet(simulation):
    assert_passes(simulation("unmet.yaml"))


def test_nothing_claimed(simulation):
    assert_passes(simulation("silent.yaml", stacks=["userspace"]))


def test_claims_left_out(simulation):
    assert_passes(simulation("met.yaml", stacks=["userspace"]))


@pytest.mark.parametrize("delay", ["10ms", "a/b"])
def test_bounds(simulation, delay):
    results = simulation("silent.yaml", values={"links.wifi.delay": "10ms"}, seed=3)
    assert_at_least(results, "goodput", stack="userspace", at_least="1mbit")
    assert_at_least(results, "rtt_p95", stack="userspace", at_least="1ms")
    assert_at_most(results, "goodput", stack="userspace", relative_to="userspace-tcp", at_most=0.5)


def test_compared(simulation):
    base = simulation("silent.yaml", stacks=["userspace"])
    slower = simulation("silent.yaml", stacks=["userspace"], values={"links.wifi.delay": "20ms"})
    assert_not_regressed(base, base)
    assert_not_regressed(slower, base, across=["experiment"])
    assert_not_regressed(base, slower, across=["experiment"], metrics=["goodput"])


def test_other_stack(simulation):
    results = simulation("silent.yaml", stacks=["userspace"])
    assert_at_least(results, "goodput", stack="mptcp", at_least="1mbit")


def test_other_metric(simulation):
    results = simulation("silent.yaml", stacks=["userspace"])
    assert_at_least(results, "goodputt", stack="userspace", at_least="1mbit")


def test_failed_runs(simulation):
    results = simulation("silent.yaml", stacks=["userspace"], values={"timeout": "50ms"})
    assert_at_least(results, "goodput", stack="userspace", at_least="1mbit")


def test_no_machine(experiment):
    experiment("silent.yaml", machine="vm:6.1")


def test_several_machines(experiment):
    experiment("many.yaml")


def test_topology(topology):
    assert [link.name for link in topology("two_paths.yaml").links] == ["wifi", "lte"]


@pytest.mark.testbed_needs("mptpc")
def test_misspelt():
    pass
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    (folder / "two_paths.yaml").write_text(plugin.TWO_PATHS)
    (folder / "met.yaml").write_text(EXPERIMENT + CLAIMS % 0.2)
    (folder / "unmet.yaml").write_text(EXPERIMENT + CLAIMS % 4)
    (folder / "silent.yaml").write_text(EXPERIMENT)
    (folder / "many.yaml").write_text(EXPERIMENT + "machines: [uml:6.1, uml:7.3]\n")
    (folder / "kernel.yaml").write_text(EXPERIMENT.replace("userspace-tcp", "mptcp"))
    (folder / "test_it.py").write_text(TESTS)
    return folder


@pytest.fixture(scope="module")
def output(project: Path) -> str:
    return plugin.run(project, "-rA", "--testbed-results", "kept", "test_it.py").stdout


def failure(output: str, test: str) -> str:
    """Return what pytest says of a failed test."""
    found = re.search(rf"\n_+ {re.escape(test)} _+\n(.*?)\n(?:_{{3,}}|={{3,}}) ", output, re.DOTALL)
    assert found is not None, output
    return found[1]


def test_claims_that_are_met_pass(output: str) -> None:
    assert "PASSED test_it.py::test_met\n" in output
    assert "PASSED test_it.py::test_topology\n" in output


def test_a_failure_reads_like_the_table(output: str) -> None:
    said = failure(output, "test_unmet")
    assert "regressed: goodput of userspace, relative to userspace-tcp, is at least 4\n" in said
    assert re.search(r"E +stack +runs +goodput", said)
    assert re.search(r"E +userspace +1/1 +[\d.]+ Mbit/s", said)
    assert re.search(r"is at least 4: [\d.]+ \[[\d., ]+\]", said)
    folder = re.search(r"Results: (\S+)", said)
    assert folder is not None
    assert (plugin_project(output, folder[1]) / "experiment.json").exists()
    assert "testbed/pytest" not in said  # the test's own line is shown, and none of ours


def plugin_project(output: str, folder: str) -> Path:
    root = re.search(r"rootdir: (\S+)", output)
    assert root is not None
    return Path(root[1], folder)


def test_a_regression_reads_like_the_comparison(output: str) -> None:
    said = failure(output, "test_compared")
    assert "AssertionError: regressed: goodput\n" in said
    assert re.search(r"E +stack +metric +base +new +change +verdict", said)
    assert re.search(r"E +userspace +goodput .* regressed", said)
    assert re.search(r"Results: \S+ and \S+", said)
    assert "> " in said
    assert 'assert_not_regressed(base, slower, across=["experiment"], metrics=' in said


def test_what_was_not_seen_is_no_pass(output: str) -> None:
    assert "silent claims nothing" in failure(output, "test_nothing_claimed")
    assert "not judged, because its runs were left out" in failure(output, "test_claims_left_out")
    assert "1 runs do not count; the first one: " in failure(output, "test_failed_runs")


def test_misspelt_names_are_told(output: str) -> None:
    assert "there are: userspace" in failure(output, "test_other_stack")
    assert "did you mean 'goodput'?" in failure(output, "test_other_metric")
    assert "did you mean 'mptcp'?" in output


def test_results_are_kept_by_the_ids_of_tests(project: Path, output: str) -> None:
    assert "relative to userspace-tcp, is at most 0.5" in failure(output, "test_bounds[a/b]")
    kept = project / "kept" / "test_it.py"
    for name in ("test_met", "test_bounds[10ms]", "test_bounds[a_b]"):
        assert len(list(kept.glob(f"{name.replace('[', '[[]')}/*/*/experiment.json"))) == 1


def test_a_simulation_skips_what_it_cannot_run(project: Path) -> None:
    (project / "test_machine.py").write_text(
        "import pytest\n"
        "def test_stack(experiment): experiment('kernel.yaml')\n"
        "def test_here(experiment): assert experiment('met.yaml').environment.machine == 'sim'\n"
        "def test_sandbox(sandbox): sandbox('two_paths.yaml')\n"
        "@pytest.mark.testbed_needs('netem')\n"
        "def test_marked(): pass\n"
    )
    arguments = ("-rs", "--testbed-machine", "sim", "test_machine.py")
    done = plugin.run(project, *arguments)
    assert done.returncode == 0, done.stdout
    assert "1 passed, 3 skipped" in done.stdout
    assert "a simulation has no stack mptcp; use another --testbed-machine" in done.stdout
    assert "needs sandbox: a simulation has no kernel" in done.stdout
    assert "test_machine.py:5: needs netem: a simulation has no kernel" in done.stdout
    strict = plugin.run(project, "--testbed-no-skip", *arguments)
    assert strict.returncode == 1
    assert "1 failed, 1 passed, 2 errors" in strict.stdout


def test_a_test_runs_an_experiment_on_one_machine_that_is_one(output: str) -> None:
    assert "InputError: 'vm' is not a machine" in failure(output, "test_no_machine")
    said = failure(output, "test_several_machines")
    assert "names several machines (uml:6.1, uml:7.3), but a test uses one" in said


def test_pytest_starts_without_the_laboratory() -> None:
    """A project that has testbed installed pays for what it does not use: four small modules."""
    script = (
        "import sys, pytest; before = set(sys.modules); import testbed.pytest;"
        "print(*sorted(set(sys.modules) - before))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(plugin.ROOT)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    ours = ["testbed", "testbed.compiled", "testbed.pytest", "testbed.pytest.assertions"]
    assert loaded == ours


def test_workers_of_xdist_measure_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("PYTEST_XDIST_TESTRUNUID", "of-this-test")
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    quiet = testbed.pytest.laboratory._quiet
    with quiet("sim"):
        assert list(tmp_path.iterdir()) == []
    with quiet("host"):
        [lock] = tmp_path.iterdir()
        with lock.open("w") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_names_of_folders_are_names_of_files() -> None:
    assert folder_name("tests/a.py::Class::test[a/b-\x1b[1m]") == "tests_a.py/Class_test[a_b-_[1m]"
    assert len(folder_name("a.py::test[" + 500 * "x" + "]")) < 256
