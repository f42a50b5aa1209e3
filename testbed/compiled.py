"""Compiled modules replace the interpreted ones if they were built from the same sources.

``make compile``, or the build of a wheel with ``TESTBED_COMPILE=1``, compiles extension modules
with mypyc. They are stored below ``testbed/_compiled``, in a directory for each Python version,
with the digests of all sources that they depend on. The first import of a compiled module checks
those digests. If a source has changed, no compiled module is used: the sources take precedence.

The environment variable ``TESTBED_COMPILED`` selects the modules: ``no`` runs the sources,
``require`` fails if the compiled modules cannot be used, ``auto`` (the default) uses the compiled
modules if it can.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import Final, NamedTuple

VARIABLE: Final = "TESTBED_COMPILED"
COMPILED: Final = "compiled"
INTERPRETED: Final = "interpreted"
MANIFEST: Final = "sources.sha256"  # in the format of sha256sum(1)
ROOT: Final = Path(__file__).resolve().parents[1]  # sources are named from here
SUFFIX: Final = EXTENSION_SUFFIXES[0]  # as ".cpython-311-x86_64-linux-gnu.so"
ABI: Final = SUFFIX.split(".")[1]
PLACE: Final = ROOT / "testbed" / "_compiled" / ABI
SHARED: Final = "testbed__mypyc"  # the library with the code of all compiled modules
_CHOICES: Final = ("auto", "no", "require")


class Status(NamedTuple):
    """Which modules run, and why.

    :ivar build: ``compiled`` or ``interpreted``.
    :ivar why: the reason in one clause, with a remedy if there is a problem.
    :ivar stale: whether compiled modules exist, but were built from other sources.
    """

    build: str
    why: str
    stale: bool = False


def digest(path: Path) -> str:
    """Return the digest of a source as a manifest contains it."""
    import hashlib  # noqa: PLC0415 - most processes have no compiled modules to look at

    return hashlib.sha256(path.read_bytes()).hexdigest()


def manifest(sources: Iterable[Path], root: Path = ROOT) -> str:
    """Return the text of a manifest."""
    return "".join(f"{digest(each)}  {each.relative_to(root)}\n" for each in sorted(sources))


def changed(text: str, root: Path = ROOT) -> list[str]:
    """Return the sources that differ from a manifest or are missing."""
    found = []
    for line in text.splitlines():
        wanted, _, name = line.partition("  ")
        path = root / name
        if not path.is_file() or digest(path) != wanted:
            found.append(name)
    return found


class Finder:
    """A finder of compiled modules for ``sys.meta_path``.

    :param place: the directory of the compiled modules.
    :param root: the directory of the sources.
    :param choice: the value of ``TESTBED_COMPILED``.
    """

    def __init__(self, place: Path, root: Path, choice: str) -> None:
        self._place = place
        self._root = root
        self._choice = choice
        self._status: Status | None = None

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Return the compiled module of a name, or ``None`` if the source shall be used.

        :raises ImportError: the compiled module is required, but cannot be used.
        """
        del path, target
        if not name.startswith("testbed"):
            return None
        file = self._place / f"{name.replace('.', '/')}{SUFFIX}"
        if not file.exists() or self.status().build != COMPILED:
            return None
        return spec_from_file_location(name, file, loader=ExtensionFileLoader(name, str(file)))

    def status(self) -> Status:
        """Return whether the compiled modules are used. The first result is kept.

        :raises ImportError: the compiled modules are required, but cannot be used.
        """
        if self._status is None:
            self._status = self._look()
        if self._choice == "require" and self._status.build != COMPILED:
            raise ImportError(f"{VARIABLE}=require: {self._status.why}")
        return self._status

    def _look(self) -> Status:
        if self._choice not in _CHOICES:
            raise ImportError(f"{VARIABLE}={self._choice}: it must be one of {', '.join(_CHOICES)}")
        if self._choice == "no":
            return Status(INTERPRETED, f"{VARIABLE}=no")
        try:
            text = (self._place / MANIFEST).read_text()
        except FileNotFoundError:
            why = f"there are no compiled modules for {self._place.name}: `make compile` makes them"
            return Status(INTERPRETED, why)
        others = changed(text, self._root) if text else [MANIFEST]
        if others:
            more = f" and {len(others) - 1} more" if len(others) > 1 else ""
            why = (
                f"the compiled modules are not used, because {others[0]}{more} changed; "
                "`make compile` makes them again, `make clean` removes them"
            )
            return Status(INTERPRETED, why, stale=True)
        return Status(COMPILED, f"by mypyc, for {self._place.name}")


_FINDER: Final = Finder(PLACE, ROOT, os.environ.get(VARIABLE) or "auto")


def install() -> None:
    """Make Python find compiled modules before their sources from now on."""
    if PLACE.exists() or os.environ.get(VARIABLE):
        sys.meta_path.insert(0, _FINDER)


def status() -> Status:
    """Return which modules run in this process.

    :raises ImportError: compiled modules are required, but cannot be used.
    """
    return _FINDER.status()
