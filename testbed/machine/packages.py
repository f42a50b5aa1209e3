"""Unpacks packages of this and other releases of the distribution without installing them.

apt does all of it, with its own state in the cache. It does not change the system's lists, sources
and installed packages. The archives and the keys are those of the system's sources. Only the names
of other releases are added, so that their kernels are found.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from testbed.errors import PlatformError
from testbed.machine import cache

# Debian's releases by code name, oldest first. Mirrors are slow to update aliases like "stable".
_RELEASES: Final = ("bookworm", "bookworm-backports", "trixie", "trixie-backports", "sid")
_KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_LISTS_KEPT_S: Final = 24 * 3600


def search(pattern: str) -> list[str]:
    """Return the names of all packages that match, oldest version first.

    :param pattern: a regular expression for the whole name.
    :raises PlatformError: the system has no apt, or no package archive can be reached.
    """
    _update()
    names = _apt("apt-cache", "pkgnames").split()
    return sorted(filter(re.compile(pattern).fullmatch, names), key=natural)


def unpack(names: Sequence[str], into: Path) -> None:
    """Download packages and unpack them into one tree. ``into`` only appears when it is complete.

    :raises PlatformError: as :func:`search`, or the archives lack a package.
    """
    _update()
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into.parent) as scratch:
        tree = Path(scratch, "tree")
        _apt("apt-get", "download", *names, directory=Path(scratch))
        for package in sorted(Path(scratch).glob("*.deb")):
            _run(["dpkg-deb", "--extract", str(package), str(tree)], Path(scratch))
        shutil.rmtree(into, ignore_errors=True)
        tree.rename(into)


def needed(name: str, pattern: str) -> list[str]:
    """Return the names of a package and of its dependencies that match a pattern."""
    lines = _apt("apt-cache", "depends", "--important", name).splitlines()
    names = [line.partition(": ")[2].strip() for line in lines if "Depends: " in line]
    return [name, *filter(re.compile(pattern).fullmatch, names)]


def natural(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts ``6.9`` before ``6.12``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _update() -> None:
    """Update the package lists if they are older than a day."""
    state = _state()
    stamp = state / "updated"
    if stamp.exists() and time.time() - stamp.stat().st_mtime < _LISTS_KEPT_S:
        return
    sources = _sources()
    (state / "etc" / "sources.list").write_text("".join(f"{line}\n" for line in sources))
    _apt("apt-get", "update")
    stamp.touch()


def _sources() -> list[str]:
    """Return lines for sources.list(5): the system's archives, and those of other releases."""
    form = "$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)"
    text = _run(["apt-get", "indextargets", "--format", form, "Created-By: Packages"], Path("/"))
    found = [line.split(maxsplit=3) for line in text.splitlines()]
    signed = f"[signed-by={_KEYRING}] " if _KEYRING.exists() else ""
    lines = [f"deb {signed}{uri} {release} {part}" for uri, release, part, *_ in found]
    debian = [
        uri for uri, release, _, *origin in found if origin == ["Debian"] and "-" not in release
    ]
    lines += [f"deb {signed}{uri} {release} main" for uri in debian[:1] for release in _RELEASES]
    return list(dict.fromkeys(lines))


def _state() -> Path:
    state = cache.folder("apt")
    for name in ("etc/apt.conf.d", "etc/preferences.d", "lists/partial", "archives/partial"):
        (state / name).mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    return state


def _apt(program: str, *arguments: str, directory: Path = Path("/")) -> str:
    state = _state()
    options = (
        f"Dir::Etc::sourcelist={state}/etc/sources.list",
        "Dir::Etc::sourceparts=-",
        f"Dir::State={state}",
        f"Dir::State::status={state}/status",
        f"Dir::Cache={state}",
        "Acquire::Languages=none",
        "APT::Sandbox::User=",  # the cache is ours: another user cannot write there
    )
    flags = [word for option in options for word in ("-o", option)]
    return _run([program, "-q", *flags, *arguments], directory)


def _run(argv: Sequence[str], directory: Path) -> str:
    try:
        done = subprocess.run(argv, cwd=directory, capture_output=True, text=True, check=True)
    except FileNotFoundError as error:
        raise PlatformError(
            f"{argv[0]} is missing",
            why="testbed fetches kernels with the tools of Debian and its derivatives",
            instead="give a kernel by its path",
        ) from error
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip() or "no reason given").splitlines()[-1]
        raise PlatformError(
            f"{argv[0]} failed",
            why=last,
            instead="check that the package archive is reachable, or give a kernel by its path",
        ) from error
    return done.stdout
