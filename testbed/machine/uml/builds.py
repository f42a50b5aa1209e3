"""The user-mode Linuxes in the cache: finished builds, and the remains of interrupted ones.

One folder for each::

    linux            the kernel, a program
    entropy.so       getrandom() for virtual time
    regset.so        ptrace() for kernels before 6.13 on processors with a large state
    build.json       what it was built from, written last
    unfinished.json  the same, while the build goes on or after it was interrupted
    build.log        the output of make
    source/          Debian's sources, until the kernel is built
    objects/         compiled files; those of Debian's sources are removed once the kernel is built,
                     those of a source tree stay, so that the next build is quick
    times.json       of what the objects of a search's worktree were made of

The folder of a Debian version is named after the version and the configuration, that of a source
tree after its path. So a build finds the compiled files of an earlier one, and make(1) finds the
changes.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from testbed.machine import cache

FRAGMENT: Final = Path(__file__).parent / "kernel.config"
ENTROPY: Final = Path(__file__).parent / "entropy.c"
REGSET: Final = Path(__file__).parent / "regset.c"
DEBIAN: Final = "debian:"
SOURCE: Final = "source"
OBJECTS: Final = "objects"
LOG: Final = "build.log"
TIMES: Final = "times.json"
_BUILT: Final = "build.json"
_UNFINISHED: Final = "unfinished.json"


class Build(msgspec.Struct, frozen=True, kw_only=True):
    """A kernel that was built, or is being built.

    :param source: ``debian:7.3`` or the path of a tree.
    :param version: the version of the sources: ``7.3.4``; for a git tree also its commit and
        changes.
    :param configuration: the digest of the configuration and the entropy library.
    :param directory: its folder.
    """

    source: str
    version: str
    configuration: str
    directory: str

    @property
    def linux(self) -> Path:
        """The kernel."""
        return Path(self.directory, "linux")

    @property
    def entropy(self) -> Path:
        """The library to preload in virtual time."""
        return Path(self.directory, "entropy.so")

    @property
    def regset(self) -> Path:
        """The library to preload if it exists. Builds of older testbeds lack it."""
        return Path(self.directory, "regset.so")

    @property
    def stale(self) -> bool:
        """Whether its tree or the configuration has changed since it was built."""
        if self.configuration != configuration():
            return True
        if self.source.startswith(DEBIAN):
            return False
        return version(Path(self.source)) != self.version

    @property
    def abandoned(self) -> bool:
        """Whether no build will use it again.

        Its tree was removed, or it is Debian's and was built with another configuration. While its
        tree exists, the next build reuses the compiled files.
        """
        if self.source.startswith(DEBIAN):
            return self.configuration != configuration()
        return not Path(self.source).is_dir()

    def begin(self) -> None:
        """Record the start of the build. This invalidates an earlier build in the same folder."""
        Path(self.directory, _BUILT).unlink(missing_ok=True)
        Path(self.directory, _UNFINISHED).write_bytes(msgspec.json.encode(self))

    def finish(self) -> None:
        """Record that the build is complete."""
        Path(self.directory, _UNFINISHED).rename(Path(self.directory, _BUILT))


class Leftover(msgspec.Struct, frozen=True, kw_only=True):
    """A folder that may be removed from the cache.

    :param why: a description of its contents for users.
    :param path: a folder of the cache.
    :param octets: the size of its files.
    """

    why: str
    path: Path
    octets: int

    @classmethod
    def at(cls, path: Path, why: str) -> Leftover:
        """Return the leftover for a folder."""
        octets = sum(it.lstat().st_size for it in path.rglob("*") if not it.is_dir())
        return cls(why=why, path=path, octets=octets)


def configuration() -> str:
    """Return the digest of our kernel configuration and entropy library."""
    return digest(FRAGMENT.read_bytes() + ENTROPY.read_bytes())


def digest(octets: bytes) -> str:
    """Return a short digest, for names."""
    return hashlib.sha256(octets).hexdigest()[:12]


def built() -> list[Build]:
    """Return the complete builds ordered by name, including :meth:`Build.stale` ones."""
    found = (_read(directory, _BUILT) for directory in _folders())
    return [build for build in found if build is not None and build.linux.is_file()]


def unfinished(directory: Path) -> Build | None:
    """Return the incomplete build in a folder."""
    return _read(directory, _UNFINISHED)


def find(kernel: str) -> Build | None:
    """Return the build with the name ``7.3``, or from the source tree at a path."""
    if "/" in kernel:
        source = str(Path(kernel).resolve())
        return next((it for it in built() if it.source == source), None)
    fitting = [it for it in built() if it.source == DEBIAN + kernel and not it.stale]
    return fitting[-1] if fitting else None


def prune(*, remove: bool) -> Iterator[Leftover]:
    """Yield unneeded folders: abandoned and interrupted builds, and sources of finished builds.

    Folders in which a process is building are left out.

    :param remove: remove each folder before it is yielded.
    :raises OSError: a folder cannot be removed.
    """
    for directory in _folders():
        with contextlib.suppress(BlockingIOError), locked(directory, wait=False):
            for leftover in _leftovers(directory):
                if remove:
                    shutil.rmtree(leftover.path)
                yield leftover


def folder(name: str) -> Path:
    """Return the folder for a build with a name. It may not exist."""
    return cache.path("uml", name)


def of_tree(tree: Path) -> Path:
    """Return the folder of a source tree's build."""
    return folder(f"tree-{digest(bytes(tree.resolve()))}")


@contextlib.contextmanager
def locked(directory: Path, *, wait: bool = True) -> Iterator[int]:
    """Create a folder and lock it against other builds; yield the lock's descriptor.

    The lock is held until the last process with the descriptor ends.

    :raises BlockingIOError: another process has the lock, and ``wait`` is false.
    """
    while True:
        directory.mkdir(parents=True, exist_ok=True)
        lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if directory.exists() and os.path.samestat(directory.stat(), os.fstat(lock)):
                yield lock
                return
        finally:  # also if the folder was removed during the wait
            os.close(lock)


def version(tree: Path) -> str:
    """Return a source tree's version and, for a git(1) tree, its commit and changes."""
    numbers = "?"
    with contextlib.suppress(OSError):
        found = re.findall(
            r"^(?:VERSION|PATCHLEVEL|SUBLEVEL) = (\d+)$",
            (tree / "Makefile").read_text(),
            re.MULTILINE,
        )
        numbers = ".".join(found)
    commit = _git(tree, "rev-parse", "--short=12", "HEAD")
    if commit is None:
        return numbers
    changes = _git(tree, "diff", "HEAD")
    if changes:
        digest = hashlib.sha256(changes.encode()).hexdigest()[:8]
        return f"{numbers}-g{commit}-dirty-{digest}"
    return f"{numbers}-g{commit}"


def _folders() -> list[Path]:
    return sorted(path for path in cache.path("uml").glob("*") if path.is_dir())


def _read(directory: Path, name: str) -> Build | None:
    with contextlib.suppress(OSError, msgspec.DecodeError):  # missing, or of another version
        return msgspec.json.decode((directory / name).read_bytes(), type=Build)
    return None


def _leftovers(directory: Path) -> list[Leftover]:
    build = _read(directory, _BUILT)
    if build is None:
        begun = _read(directory, _UNFINISHED)
        what = "" if begun is None else f" of {begun.source}, Linux {begun.version}"
        return [Leftover.at(directory, f"an interrupted build{what}")]
    if build.abandoned:
        return [Leftover.at(directory, f"{build.source}, Linux {build.version}")]
    if not build.source.startswith(DEBIAN):
        return []
    why = f"used to build {build.source}, which is built"
    debris = (directory / name for name in (SOURCE, OBJECTS))
    return [Leftover.at(path, why) for path in debris if path.exists()]


def _git(tree: Path, *arguments: str) -> str | None:
    if not (tree / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(tree), *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
