"""The package: what sdist and wheel carry, equal builds, and use outside of a checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import testbed

pytest.importorskip("hatchling", reason="hatchling is not installed")

ROOT = Path(__file__).parents[2]
NOT_SOURCES = {".git", ".venv", "dist", "build", "results", "figures"}


def left_out(folder: str, names: list[str]) -> set[str]:
    """Return what is not copied of a folder: what git does not keep either."""
    made = {name for name in names if name == "__pycache__" or name.endswith("_cache")}
    return made | (NOT_SOURCES if Path(folder) == ROOT else set())


def build(tree: Path) -> tuple[Path, Path]:
    """Build in a tree, and return the sdist and the wheel."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build"],
        cwd=tree,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (sdist,), (wheel,) = (tree / "dist").glob("*.tar.gz"), (tree / "dist").glob("*.whl")
    return sdist, wheel


def test_the_version_is_the_same_in_both_places():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == testbed.__version__


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The distributions built from the checkout, and again from that sdist."""
    where = tmp_path_factory.mktemp("package")
    shutil.copytree(ROOT, where / "checkout", ignore=left_out)
    first = build(where / "checkout")
    with tarfile.open(first[0]) as archive:
        archive.extractall(where / "sdist", filter="data")
    (tree,) = (where / "sdist").iterdir()
    (tree / "PKG-INFO").unlink()  # this file distinguishes an sdist from a checkout
    return first, build(tree)


def test_two_builds_are_equal(built):
    """One is made from the checkout, the other from the sdist of the first."""
    (sdist, wheel), (sdist_again, wheel_again) = built
    assert wheel_again.read_bytes() == wheel.read_bytes()
    assert sdist_again.read_bytes() == sdist.read_bytes()


def test_the_wheel_carries_what_is_shipped(built):
    (_, wheel), _ = built
    names = set(zipfile.ZipFile(wheel).namelist())
    for kind in ("topologies", "experiments"):
        files = [path for path in (ROOT / kind).rglob("*") if path.is_file()]
        assert files
        assert {f"testbed/data/{path.relative_to(ROOT)}" for path in files} <= names
    assert "testbed/data/project/.github/workflows/mptcp.yml" in names
    assert "testbed/py.typed" in names
    assert not [name for name in names if name.startswith(("tests/", "docs/", "bench/"))]


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """Return what runs the command of the wheel, in a folder that is no checkout."""
    (_, wheel), _ = built
    site = tmp_path_factory.mktemp("site")
    zipfile.ZipFile(wheel).extractall(site)  # as an installer does, and cheaper than pip
    folder = tmp_path_factory.mktemp("elsewhere")
    there = [entry for entry in sys.path if entry and Path(entry).resolve() != ROOT]
    path = os.pathsep.join([str(site), *there])

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "testbed", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return folder, run


def test_an_experiment_runs_by_its_name(installed):
    _, run = installed
    less = ["--repetitions", "1", "--set", "workload.size=500KB", "--stack", "userspace"]
    assert "userspace  1/1" in run("run", "--sim", *less, "quickstart")


def test_a_project_is_begun(installed):
    folder, run = installed
    run("init", "project")
    assert (folder / "project" / "tests" / "test_my_change.py").exists()
    assert (folder / "project" / "schemas" / "experiment.schema.json").exists()
