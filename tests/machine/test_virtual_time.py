"""The kernel's MPTCP over the kernel's netem, in virtual time: the same octets twice."""

import filecmp
import json
import os
import sys
from pathlib import Path

import pytest

from testbed.machine import Program, machine

NAME = "uml:7.3+virtual-time"
HERE = Path(__file__).parent
EXPERIMENTS = sorted((HERE / "virtual_time").glob("*.yaml"))
BASELINES = HERE / "virtual_time" / "uml-7.3.json"
# Set it to write the baselines instead of comparing with them; git shows what has changed.
REWRITE = "TESTBED_REWRITE_BASELINES"

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Carry out experiments in a machine of their own, and return their result folders by name."""
    guest = machine(NAME)
    available = guest.availability()
    if not available.ok:
        pytest.skip(f"{NAME}: {available.why}: {available.remedy}")

    def carry_out(*experiments, seed=1):
        results = tmp_path_factory.mktemp("results")
        files = [str(HERE / "virtual_time" / f"{name}.yaml") for name in experiments]
        argv = [sys.executable, "-m", "testbed", "run", *files]
        argv += ["--seed", str(seed), "--results", str(results)]
        program = Program(
            argv=argv, directory=HERE, environment=dict(os.environ), writable=[results]
        )
        assert guest.execute(program, console=results / "console") == 0
        return {name: next((results / name).iterdir()) for name in experiments}

    return carry_out


@pytest.fixture(scope="module")
def once(run):
    return run(*(path.stem for path in EXPERIMENTS))


@pytest.fixture(scope="module")
def again(run):
    return run(*(path.stem for path in EXPERIMENTS))


def differing(left, right):
    """Return the names of the files that two folders do not share, octet by octet."""
    files = {path.relative_to(folder) for folder in (left, right) for path in folder.rglob("*")}
    names = [str(name) for name in files if not ((left / name).is_dir() or (right / name).is_dir())]
    _, mismatch, errors = filecmp.cmpfiles(left, right, names, shallow=False)
    return sorted(mismatch + errors)


def records(folder):
    return [json.loads(path.read_bytes()) for path in sorted(folder.glob("runs/*/run.json"))]


@pytest.mark.parametrize("name", [path.stem for path in EXPERIMENTS])
def test_a_second_run_gives_the_same_packets_and_results(once, again, name):
    assert {record["stack"] for record in records(once[name])} == {"tcp", "mptcp", "userspace"}
    assert {record["wires"][0]["engine"] for record in records(once[name])} == {"netem"}
    assert len(list(once[name].glob("runs/*/*.pcap"))) == 12  # four interfaces, three stacks
    assert differing(once[name], again[name]) == []


def test_another_seed_gives_other_packets(once, run):
    other = run("loss", seed=2)["loss"]
    changed = differing(once["loss"], other)
    assert sum(name.endswith(".pcap") for name in changed) == 12


def test_the_outcomes_are_those_of_the_baselines(once):
    """Another checkout shifts the clock by some hundred nanoseconds: a tenth is left to chance."""
    seen = {
        name: {record["stack"]: facts(record) for record in records(once[name])} for name in once
    }
    if os.environ.get(REWRITE):
        BASELINES.write_text(json.dumps(seen, indent=1, sort_keys=True) + "\n")
    wanted = json.loads(BASELINES.read_text())
    assert {name: set(stacks) for name, stacks in seen.items()} == {
        name: set(stacks) for name, stacks in wanted.items()
    }
    for name, stacks in wanted.items():
        for stack, expected in stacks.items():
            assert seen[name][stack] == pytest.approx(expected, rel=0.1), (name, stack)


def facts(record):
    """Return what a baseline keeps of a run."""
    assert record["status"] == "ok", record["reason"]
    return {
        "goodput_mbit_per_s": round(record["metrics"]["goodput"] / 1e6, 2),
        "subflows": record["proof"]["subflows"] or 1,
    }
