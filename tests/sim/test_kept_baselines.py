"""The baselines in `results/baseline` of simulated experiments, to the last digit.

A change of the stack that must not be seen leaves the files as they are.  One that must be saves
them again (`testbed baseline save`), and its commit says which numbers change and why.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from testbed.campaign import baselines
from testbed.cli.application import application
from testbed.experiment.venue import SIMULATION

KEPT = Path(__file__).parents[2] / baselines.DIRECTORY
NAMES = sorted(
    path.stem
    for path in KEPT.glob("*.json")
    if baselines.read(path).environment.machine == SIMULATION
)


def check(name: str, directory: Path = KEPT, *more: str) -> tuple[int, str, str]:
    arguments = ["baseline", "check", name, "--directory", str(directory), *more]
    done = CliRunner().invoke(application, arguments)
    return done.exit_code, done.stdout, done.stderr


def test_there_are_some() -> None:
    assert {"lossy_long", "quickstart", "reqres", "schedulers", "stream"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_numbers_are_those_that_were_kept(name: str) -> None:
    code, shown, _ = check(name)
    assert code == 0, shown


def test_a_number_that_differs_in_its_last_digit_is_3(tmp_path: Path) -> None:
    kept = (KEPT / "reqres.json").read_text()
    value = kept.partition('"latency_p50": [')[2].split()[0]
    better = repr(float(value) * (1 + 1e-12))
    assert better != value
    (tmp_path / "reqres.json").write_text(kept.replace(value, better))
    code, shown, told = check("reqres", tmp_path)
    assert code == 3
    assert "improved: 1" in shown
    assert "the numbers differ from those of the baseline reqres" in told


def test_a_folder_is_checked_instead_and_the_runs_are_kept(tmp_path: Path) -> None:
    shutil.copy(KEPT / "reqres.json", tmp_path)
    results = tmp_path / "results"
    assert check("reqres", tmp_path, "--results", str(results))[0] == 0
    (folder,) = (results / "reqres").iterdir()
    code, shown, _ = check("reqres", tmp_path, str(folder))
    assert code == 0
    assert shown.startswith(f"reqres: {folder} against reqres\n")
