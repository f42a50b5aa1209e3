"""What the kernel's own tool, tools/testing/kunit, reads in the KTAP that testbed prints.

``TESTBED_LINUX_TREE`` names a source tree of Linux that has the tool.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.interchange.ktap import Result, Test, kernelci, ktap
from testbed.results.environment import Cpu, Environment, Kernel

TREE = os.environ.get("TESTBED_LINUX_TREE")

pytestmark = pytest.mark.skipif(TREE is None, reason="TESTBED_LINUX_TREE names no Linux tree")


def _leaf(name: str, result: Result, detail: str = "") -> Test:
    return Test(name=name, result=result, detail=detail)


CELL = Test(
    name="userspace, links.wifi.loss=1%",
    result=Result.FAIL,
    subtests=(
        _leaf("run 0001", Result.PASS, "goodput 19.0 Mbit/s"),
        _leaf("run 0002", Result.FAIL, "timed out\nafter 60s"),
        _leaf("run 3 of 3", Result.SKIP, "not run"),
    ),
)
EXPERIMENTS = (
    Test(
        name="link_failure",
        result=Result.FAIL,
        subtests=(CELL, _leaf("goodput of tcp is at least 1mbit", Result.PASS, "2 Mbit/s")),
    ),
    Test(
        name="quickstart",
        result=Result.SKIP,
        subtests=(_leaf("goodput of mptcp", Result.SKIP, "its runs were left out"),),
    ),
)


def _read(text: str, path: Path) -> tuple[int, dict]:
    """Return the exit code of ``kunit.py parse``, and the test group that it makes."""
    (path / "results.ktap").write_text(text)
    kunit = Path(str(TREE), "tools/testing/kunit/kunit.py")
    done = subprocess.run(
        [sys.executable, kunit, "parse", f"--json={path / 'group.json'}", path / "results.ktap"],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert "[ERROR]" not in done.stdout
    return done.returncode, json.loads((path / "group.json").read_text())


def _shape(group: dict) -> tuple:
    """Return the names, results and counts of a group."""
    cases = [(it["name"], it["status"]) for it in group["test_cases"]]
    return group["name"], cases, group["misc"], [_shape(it) for it in group["sub_groups"]]


def test_kunit_reads_the_tests_that_we_print_as_json(tmp_path):
    code, theirs = _read(ktap(EXPERIMENTS), tmp_path)
    environment = Environment(
        testbed="1", checkout=None, python="3", packages={}, tools={},
        kernel=Kernel(release="7.3.4", version="", architecture="x86_64"),
        cpu=Cpu(model="", count=1), memory=0, root=True,
    )  # fmt: skip
    ours = kernelci(EXPERIMENTS, environment)
    assert code == 1
    assert [_shape(it) for it in ours["sub_groups"]] == [_shape(it) for it in theirs["sub_groups"]]


def test_a_test_that_could_not_be_run_is_not_ok_for_kunit(tmp_path):
    """KTAP has the directive ERROR; kunit reads the result, and ignores the directive."""
    broken = Test(
        name="quickstart",
        result=Result.ERROR,
        subtests=(_leaf("run 0001", Result.ERROR, "no proof"),),
    )
    code, theirs = _read(ktap([broken]), tmp_path)
    assert code == 1
    assert theirs["sub_groups"][0]["misc"]["failed"] == 1
