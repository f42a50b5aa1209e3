"""Built kernels, and builds that are out of date."""

from __future__ import annotations

import errno
import shutil

import msgspec
import pytest
from typer.testing import CliRunner

from testbed.cli.application import application
from testbed.cli.building import Lines
from testbed.errors import PlatformError
from testbed.machine import packages
from testbed.machine.uml import builds as cache
from testbed.machine.uml import kind
from testbed.machine.uml.builds import Build
from testbed.machine.uml.maker import making


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Write builds into a cache of this test's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def make(name, source, configuration):
        directory = tmp_path / "cache" / "testbed" / "uml" / name
        directory.mkdir(parents=True)
        (directory / "linux").write_bytes(bytes(3_000_000))
        found = Build(
            source=source, version="7.3", configuration=configuration, directory=str(directory)
        )
        (directory / "build.json").write_bytes(msgspec.json.encode(found))
        return found

    return make


@pytest.fixture
def builds(made, tmp_path):
    """Return a build of each sort, by what has become of its source."""
    tree = tmp_path / "tree"
    tree.mkdir()
    return {
        "ours": made("debian-7.3-new", "debian:7.3", cache.configuration()),
        "older": made("debian-7.3-old", "debian:7.3", "0123456789ab"),
        "changed": made("tree-1", str(tree), "0123456789ab"),
        "gone": made("tree-2", str(tmp_path / "gone"), cache.configuration()),
    }


def test_what_is_of_no_use_is_not_listed(builds):
    names = [machine.name for machine in kind.machines()]
    assert names[::2] == ["uml:7.3", f"uml:{builds['changed'].source}"]


def test_what_is_of_no_use_is_removed(builds):
    done = CliRunner().invoke(application, ["machine", "prune"])
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        f"{builds['older'].directory}: debian:7.3, Linux 7.3 (3 MB)",
        f"{builds['gone'].directory}: {builds['gone'].source}, Linux 7.3 (3 MB)",
    ]
    assert cache.built() == [builds["ours"], builds["changed"]]


def test_what_cannot_be_removed_is_not_said_to_be(builds, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(shutil, "rmtree", refuse)
    done = CliRunner().invoke(application, ["machine", "prune"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == f"testbed: {builds['older'].directory}: Permission denied\n"


def test_a_dry_run_removes_nothing(builds):
    done = CliRunner().invoke(application, ["machine", "prune", "--dry-run"])
    assert len(done.stdout.splitlines()) == 2
    assert len(cache.built()) == len(builds)


def test_an_unknown_version_is_refused_with_those_there_are(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(packages, "search", lambda _: ["linux-source-6.1", "linux-source-6.12"])
    done = CliRunner().invoke(application, ["machine", "build", "uml", "--source", "debian:6.2"])
    assert done.exit_code == 2
    assert done.stderr == ("testbed: Debian has no source of Linux '6.2'; available: 6.1, 6.12\n")
    assert not (tmp_path / "testbed").exists()


def test_machines_are_listed_where_no_cache_can_be_made(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    done = CliRunner().invoke(application, ["machine", "list", "--json"])
    assert done.exit_code == 0, done.stderr
    assert '"name": "uml:7.3"' in done.stdout
    assert CliRunner().invoke(application, ["machine", "prune"]).stdout == ""


def test_a_build_says_which_folder_is_full(tmp_path):
    def fill():
        with making(tmp_path, Lines()):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(PlatformError, match=f"{tmp_path} cannot be written: No space left"):
        fill()
