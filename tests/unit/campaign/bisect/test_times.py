"""Times of files from one worktree to the next: make(1) compiles only what differs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from testbed.campaign.bisect import times
from testbed.campaign.bisect.commits import check_out, commit, worktree
from tests.unit.campaign.bisect import repository

FILES = {"one.c": "1", "net/two.c": "2"}


@pytest.fixture
def repo(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    tree = tmp_path / "repo"
    repository.make(tree, FILES, ["first", "second", "third"])
    return tree


class Make:
    """Compiles files that are newer than their objects, each at a later time, as make(1) does."""

    def __init__(self, record):
        self._record = record
        self._objects = {}
        self._now = 0

    def __call__(self, tree, candidate):
        """Check a commit out at a time of its own, and return what is compiled."""
        written = {path: path.stat().st_mtime_ns for path in files(tree)}
        check_out(tree, candidate)
        self._now += 10**9
        for path in files(tree):
            if path.stat().st_mtime_ns != written.get(path):
                os.utime(path, ns=(self._now, self._now))
        times.restore(tree, self._record)
        self._now += 10**9
        compiled = {
            path.name for path in files(tree) if path.stat().st_mtime_ns > self._made(path, tree)
        }
        for path in files(tree):
            if path.name in compiled:
                self._objects[path.relative_to(tree)] = self._now
        return compiled

    def _made(self, path, tree):
        return self._objects.get(path.relative_to(tree), -1)


def files(tree):
    return [path for path in tree.rglob("*") if path.is_file() and path.name != ".git"]


@pytest.fixture
def make(tmp_path):
    return Make(tmp_path / "cache" / "objects" / "times.json")


def test_a_new_worktree_compiles_only_what_differs(repo, make):
    first, second, third = (commit(repo, name) for name in ("HEAD~2", "HEAD~1", "HEAD"))
    with worktree(repo) as tree:
        assert make(tree, first) == {"one.c", "two.c", "version"}
        assert make(tree, second) == {"version"}
    with worktree(repo) as tree:
        assert make(tree, second) == set()
        assert make(tree, third) == {"version"}
        assert make(tree, second) == {"version"}, "a file that is as it was is not what was made"


def test_without_a_record_all_is_compiled(repo, make, tmp_path):
    last = commit(repo, "HEAD")
    with worktree(repo) as tree:
        make(tree, last)
    record = Path(tmp_path, "cache", "objects", "times.json")
    record.write_text("no record")
    with worktree(repo) as tree:
        assert make(tree, last) == {"one.c", "two.c", "version"}
