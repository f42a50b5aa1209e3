"""Compiled modules in the place of the interpreted ones, if they are of the very same sources.

``make compile``, or the build of a wheel with ``TESTBED_COMPILE=1``, puts extension modules made by
mypyc below ``testbed/_compiled``, in a directory for each Python, with the digests of all sources
that they depend on.  The first import of such a module looks at those digests.  If a source is
another one by now, no compiled module is used: the sources are the truth.

The environment variable ``TESTBED_COMPILED`` says what is wanted: ``no`` runs the sources,
``require`` fails where the compiled modules cannot be used, ``auto`` (the default) takes what there
is.
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
SHARED: Final = "testbed__mypyc"  # the library with the code of all of them
_CHOICES: Final = ("auto", "no", "require")


class Status(NamedTuple):
    """Which modules run.

    :ivar build: ``compiled`` or ``interpreted``.
    :ivar why: in one clause, with what to do about it where something is wrong.
    :ivar stale: compiled modules are there, and are of other sources.
    """

    build: str
    why: str
    stale: bool = False


def digest(path: Path) -> str:
    """Return what a manifest says of a source."""
    import hashlib  # noqa: PLC0415 - most processes have no compiled modules to look at

    return hashlib.sha256(path.read_bytes()).hexdigest()


def manifest(sources: Iterable[Path], root: Path = ROOT) -> str:
    """Return the text of a manifest."""
    return "".join(f"{digest(each)}  {each.relative_to(root)}\n" for each in sorted(sources))


def changed(text: str, root: Path = ROOT) -> list[str]:
    """Return the sources that are not what a manifest says, or are gone."""
    found = []
    for line in text.splitlines():
        wanted, _, name = line.partition("  ")
        path = root / name
        if not path.is_file() or digest(path) != wanted:
            found.append(name)
    return found


class Finder:
    """Finds compiled modules, as one of ``sys.meta_path``.

    :param place: where they are.
    :param root: where the sources are.
    :param choice: what ``TESTBED_COMPILED`` says.
    """

    def __init__(self, place: Path, root: Path, choice: str) -> None:
        self._place = place
        self._root = root
        self._choice = choice
        self._status: Status | None = None

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Return the compiled module of a name, ``None`` if its source is to be taken.

        :raises ImportError: it is required, and cannot be used.
        """
        del path, target
        if not name.startswith("testbed"):
            return None
        file = self._place / f"{name.replace('.', '/')}{SUFFIX}"
        if not file.exists() or self.status().build != COMPILED:
            return None
        return spec_from_file_location(name, file, loader=ExtensionFileLoader(name, str(file)))

    def status(self) -> Status:
        """Tell whether the compiled modules are used; what was found first holds.

        :raises ImportError: they are required, and cannot be used.
        """
        if self._status is None:
            self._status = self._look()
        if self._choice == "require" and self._status.build != COMPILED:
            raise ImportError(f"{VARIABLE}=require: {self._status.why}")
        return self._status

    def _look(self) -> Status:
        if self._choice not in _CHOICES:
            raise ImportError(f"{VARIABLE}={self._choice}: it is one of {', '.join(_CHOICES)}")
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
                f"the compiled modules are not used, as they are of other sources: {others[0]}"
                f"{more} changed since; `make compile` makes them anew, `make clean` removes them"
            )
            return Status(INTERPRETED, why, stale=True)
        return Status(COMPILED, f"by mypyc, for {self._place.name}")


_FINDER: Final = Finder(PLACE, ROOT, os.environ.get(VARIABLE) or "auto")


def install() -> None:
    """Have compiled modules be found from now on, before their sources."""
    if PLACE.exists() or os.environ.get(VARIABLE):
        sys.meta_path.insert(0, _FINDER)


def status() -> Status:
    """Tell which modules run in this process.

    :raises ImportError: compiled ones are required, and cannot be used.
    """
    return _FINDER.status()
