"""The baselines in `results/baseline` of kernels on virtual clocks, if such a kernel is built.

Those of the experiments in ``virtual_time`` are checked where these are run, by
:mod:`tests.machine.test_virtual_time`.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from testbed.campaign import baselines
from testbed.cli.application import application
from testbed.machine.model import VIRTUAL_TIME
from tests.machines import usable

KEPT = Path(__file__).parents[2] / baselines.DIRECTORY
ELSEWHERE = {path.stem for path in Path(__file__).with_name("virtual_time").glob("*.yaml")}
NAMES = sorted(
    path.stem
    for path in KEPT.glob("*.json")
    if baselines.read(path).environment.machine.endswith(VIRTUAL_TIME)
    and path.stem.rpartition("-")[2] not in ELSEWHERE
)

pytestmark = pytest.mark.timeout(1200)


def test_there_are_some():
    assert NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_numbers_are_those_that_were_kept(name):
    usable(baselines.read(baselines.place(KEPT, name)).environment.machine)
    done = CliRunner().invoke(application, ["baseline", "check", name, "--directory", str(KEPT)])
    if done.exit_code == 2 and "differ: " in done.stderr:
        pytest.skip(f"{name} is of another kernel or other programs: {done.stderr.strip()}")
    assert done.exit_code == 0, done.output
