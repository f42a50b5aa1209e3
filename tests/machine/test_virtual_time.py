"""The kernel's MPTCP over the kernel's netem, in virtual time: the same octets twice.

And the same outcomes from another checkout, and as ``results/baseline`` keeps them.  Every kernel
and experiment takes minutes and is for ``TESTBED_MACHINES=full`` (``make machines``).
"""

import filecmp
import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from testbed.analysis.change import VIRTUAL
from testbed.campaign import baselines
from testbed.cli.application import application
from testbed.machine import Program, machine
from tests.machines import usable

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
FULL = os.environ.get("TESTBED_MACHINES") == "full"
KERNELS = ("7.3", "6.12", "6.1") if FULL else ("7.3",)
EXPERIMENTS = ("aggregation", "link_failure", "loss") if FULL else ("aggregation",)
# From Linux 6.7 on, the losses of netem follow from the seed of the run.  Before, they follow from
# the kernel's entropy, which depends on the time of every interrupt: they repeat for one checkout
# only.
INEXACT = {("6.1", "loss")}
KEPT = ROOT / baselines.DIRECTORY

# Prints by how many seconds a timer is late that falls due 5 ms after another one.
ASLEEP = """
import asyncio

async def main():
    loop = asyncio.get_running_loop()
    due = loop.time() + 0.05
    loop.call_at(due - 0.005, lambda: None)
    await asyncio.sleep(due - loop.time())
    print(loop.time() - due)

asyncio.run(main())
"""

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module", params=KERNELS)
def kernel(request):
    usable(f"uml:{request.param}+virtual-time")
    return request.param


@pytest.fixture(scope="module")
def run(kernel, tmp_path_factory):
    """Carry out experiments, each in a machine of its own; return their result folders by name."""

    def carry_out(*experiments, seed=None, root=ROOT):
        results = tmp_path_factory.mktemp("results")
        directory = root / HERE.relative_to(ROOT) / "virtual_time"
        for name in experiments:
            argv = [sys.executable, "-m", "testbed", "run", f"{name}.yaml"]
            argv += ["--results", str(results), *([] if seed is None else ["--seed", str(seed)])]
            environment = dict(os.environ, PYTHONPATH=str(root))
            program = Program(
                argv=argv, directory=directory, environment=environment, writable=[results]
            )
            guest = machine(f"uml:{kernel}+virtual-time")
            assert guest.execute(program, console=results / "console") == 0
        return {name: next((results / name).iterdir()) for name in experiments}

    return carry_out


@pytest.fixture(scope="module")
def once(run):
    return run(*EXPERIMENTS)


@pytest.fixture(scope="module")
def again(run):
    return run(*EXPERIMENTS)


@pytest.fixture(scope="module")
def elsewhere(run, tmp_path_factory):
    """Return results of a fresh copy in another folder: no compiled modules, longer paths."""
    copy = tmp_path_factory.mktemp("elsewhere") / "a-checkout-of-quite-another-name" / "testbed"
    for folder in ("testbed", "topologies", "tests/machine/virtual_time"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return run(*EXPERIMENTS, root=copy)


def differing(left, right):
    """Return the names of the files that two folders do not share, octet by octet."""
    files = {path.relative_to(folder) for folder in (left, right) for path in folder.rglob("*")}
    names = [str(name) for name in files if not ((left / name).is_dir() or (right / name).is_dir())]
    _, mismatch, errors = filecmp.cmpfiles(left, right, names, shallow=False)
    return sorted(mismatch + errors)


def records(folder):
    return [json.loads(path.read_bytes()) for path in sorted(folder.glob("runs/*/run.json"))]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_second_run_gives_the_same_packets_and_results(once, again, name):
    assert {record["stack"] for record in records(once[name])} == {"tcp", "mptcp", "userspace"}
    assert {record["wires"][0]["engine"] for record in records(once[name])} == {"netem"}
    assert len(list(once[name].glob("runs/*/*.pcapng"))) == 12  # four interfaces, three stacks
    assert differing(once[name], again[name]) == []


@pytest.mark.skipif(not FULL, reason="a further run: TESTBED_MACHINES=full asks for it")
def test_another_seed_gives_other_packets(once, run):
    other = run("loss", seed=2)["loss"]
    changed = differing(once["loss"], other)
    assert sum(name.endswith(".pcapng") for name in changed) == 12


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_outcomes_are_those_that_were_kept(kernel, once, name):
    if (kernel, name) in INEXACT:
        pytest.skip("what netem loses is of one checkout only")
    kept = ["baseline", "check", f"uml-{kernel}-{name}", "--directory", str(KEPT)]
    done = CliRunner().invoke(application, [*kept, str(once[name])])
    if done.exit_code == 2 and "differ: " in done.stderr:
        pytest.skip(f"they are of another kernel or other programs: {done.stderr.strip()}")
    assert done.exit_code == 0, done.output


def test_a_fresh_copy_elsewhere_has_the_same_outcomes(kernel, once, elsewhere):
    """As far as compare's smallest relevant change: docs/virtual-time.md says what differs."""
    for name, folder in once.items():
        if (kernel, name) in INEXACT:
            continue
        found = {record["stack"]: facts(record) for record in records(elsewhere[name])}
        for record in records(folder):
            assert found[record["stack"]] == pytest.approx(facts(record), rel=VIRTUAL)


def test_a_timer_of_asyncio_is_not_early_when_another_one_wakes_the_loop(kernel, tmp_path, capfd):
    program = Program(
        argv=[sys.executable, "-c", ASLEEP],
        directory=tmp_path,
        environment={"PATH": os.environ["PATH"]},
    )
    guest = machine(f"uml:{kernel}+virtual-time")
    assert guest.execute(program, console=tmp_path / "console", limit_s=60) == 0
    assert float(capfd.readouterr().out) >= 0


def facts(record):
    """Return what came out of a run."""
    assert record["status"] == "ok", record["reason"]
    metrics = {name: record["metrics"][name] for name in ("goodput", "duration", "longest_gap")}
    return metrics | {"subflows": record["flows"]["workload"]["proof"]["subflows"] or 1}
