"""The commits of a repository: git bisect, in a worktree of its own.

git(1) chooses the next commit and finds the first bad one. Each worktree has its own bisection
state (git-worktree(1), "refs/bisect"), so that the user can bisect at the same time.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from testbed.analysis.judgement import Judgement
from testbed.campaign.bisect.model import Candidate, Step
from testbed.errors import InputError, PlatformError
from testbed.machine import cache
from testbed.machine.uml import builds

_OVER: Final = re.compile(r"^# (?:possible )?first bad commit: \[(\w+)\] (.*)$", re.MULTILINE)
_LEFT: Final = re.compile(r"roughly (\d+) step")
# These variables would direct git to another repository: git-rev-parse(1), --local-env-vars.
_LOCAL: Final = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_DIR",
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_WORK_TREE",
    }
)


class Commits:
    """The commits from a good one to a bad one.

    :param tree: a worktree that only the search uses.
    :param log: the file for git's log of the bisection, for `git bisect replay`.
    """

    def __init__(
        self,
        tree: Path,
        good: Candidate,
        bad: Candidate,
        *,
        log: Path,
        first_parent: bool = False,
    ) -> None:
        self._tree, self._good, self._bad = tree, good, bad
        self._log = log
        self._first_parent = first_parent
        self._left = 0

    def start(self, steps: Iterable[Step]) -> None:
        """Start the bisection with the earlier judgements.

        :raises InputError: no commit lies between the two, or the good one is no ancestor of the
            bad.
        """
        check_out(self._tree, self._bad)
        options = ["--first-parent"] if self._first_parent else []
        self._bisect("start", *options, self._bad.name, self._good.name)
        for step in steps:
            self.mark(step.candidate, step.judgement)

    def current(self) -> Candidate | None:
        """Return the commit to be judged, which git has checked out."""
        return None if self.culprits() else commit(self._tree, "HEAD")

    def mark(self, candidate: Candidate, judgement: Judgement) -> None:
        """Report a judgement to git, which checks out the next commit.

        :raises InputError: the answers contradict one another.
        """
        self._bisect(judgement.value, candidate.name)

    def left(self) -> int:
        """Return the number of remaining steps that git expects."""
        return self._left + 1

    def culprits(self) -> Sequence[Candidate]:
        """Return the first bad commit, or all possible ones; nothing during the search."""
        return [
            Candidate(name=name, subject=subject) for name, subject in _OVER.findall(self._logged())
        ]

    def _logged(self) -> str:
        """Return git's log of the bisection; empty if it has not begun."""
        return _run(self._tree, "bisect", "log").stdout

    def _bisect(self, *arguments: str) -> None:
        """Run git bisect. It is no error if only skipped commits are left."""
        done = _run(self._tree, "bisect", *arguments)
        if done.returncode and not self.culprits():
            raise InputError(
                f"git bisect: {_said(done)}", hint="check that --good is an ancestor of --bad"
            )
        self._log.write_text(self._logged())
        found = _LEFT.search(done.stdout)
        self._left = int(found[1]) if found else 0


@contextlib.contextmanager
def worktree(repository: Path) -> Iterator[Path]:
    """Yield a worktree of a repository, without files yet; remove it at the end.

    The path is the same each time, so that compiled objects can be reused.

    :raises InputError: another search is in progress in this repository.
    """
    directory = cache.path("bisect", builds.digest(bytes(repository)))
    tree = directory / "tree"
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(builds.locked(directory, wait=False))
        except BlockingIOError as error:
            raise InputError(f"another bisection of {repository} is running") from error
        _remove(repository, tree)  # left by a search that was killed
        git(repository, "worktree", "add", "--detach", "--no-checkout", str(tree))
        try:
            yield tree
        finally:
            _remove(repository, tree)
            shutil.rmtree(directory, ignore_errors=True)


def _remove(repository: Path, tree: Path) -> None:
    if tree.exists():
        # git removes a large tree faster; we remove the files that it does not track.
        _run(repository, "worktree", "remove", "--force", "--force", str(tree))
    shutil.rmtree(tree, ignore_errors=True)
    git(repository, "worktree", "prune")


def check_out(tree: Path, candidate: Candidate) -> None:
    """Check out a commit in a worktree, and remove untracked files.

    No compiled module may stay, because Python compares modification times in whole seconds only.

    :raises InputError: git fails.
    """
    git(tree, "checkout", "--quiet", "--force", "--detach", candidate.name)
    git(tree, "clean", "-ffdxq")


def repository(path: Path) -> Path:
    """Return the top folder of the checkout that contains a path.

    :raises InputError: no checkout contains it.
    """
    if not path.is_dir():
        raise InputError(f"there is no folder {path}", hint="give a git checkout with --tree")
    return Path(git(path, "rev-parse", "--show-toplevel"))


def commit(tree: Path, name: str) -> Candidate:
    """Return the commit with a name (branch, tag or hash).

    :raises InputError: no commit has the name.
    """
    known = _run(tree, "rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}")
    if known.returncode:
        raise InputError(f"{tree} has no commit {name}")
    line = git(tree, "log", "-1", "--no-show-signature", "--format=%H %s", known.stdout.strip())
    found, _, subject = line.partition(" ")
    return Candidate(name=found, subject=subject or "(no subject)")


def git(tree: Path, *arguments: str) -> str:
    """Run git and return its output.

    :raises InputError: git fails; with its message.
    :raises PlatformError: git is not installed.
    """
    done = _run(tree, *arguments)
    if done.returncode:
        raise InputError(f"{tree}: git {arguments[0]}: {_said(done)}")
    return done.stdout.strip()


def _run(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: it for name, it in os.environ.items() if name not in _LOCAL}
    try:
        return subprocess.run(
            ["git", "-C", str(tree), "-c", "core.hooksPath=/dev/null", *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            env=environment | {"LC_ALL": "C"},
            check=False,
        )
    except FileNotFoundError as error:
        raise PlatformError(
            "git is not installed", why="it selects the next commit", instead="apt install git"
        ) from error


def _said(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()
    return lines[0].removeprefix("fatal: ").removeprefix("error: ")
