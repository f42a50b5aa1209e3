"""Lists the result folders below a directory. A folder is read again only after a change."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from testbed.results.manifest import NAME, octets

_DEPTH: Final = 2  # results/EXPERIMENT/UTC-HASH
_UNKNOWN: Final = (-1,)  # the mark of a folder without a manifest
_LOCKS: Final = Path("/proc/locks")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A summary of one result folder.

    :param id: its path below the directory, which is its name in URLs.
    :param state: ``running`` while a testbed writes to it, ``complete`` with a summary, else
        ``unfinished``. It is ``damaged`` if ``name`` and the other fields could not be read.
    :param runs: the number of finished runs, by status.
    """

    id: str
    state: str
    name: str = ""
    description: str = ""
    machine: str = ""
    created_at: str = ""
    stacks: tuple[str, ...] = ()
    runs: dict[str, int] = {}

    @property
    def text(self) -> str:
        """The searchable text."""
        parts = (self.id, self.name, self.description, self.machine, *self.stacks)
        return " ".join(parts).casefold()


class _Spec(msgspec.Struct):
    description: str = ""
    stacks: list[Any] = []


class _Asked(msgspec.Struct):
    name: str
    created_at: str
    spec: _Spec


class _Where(msgspec.Struct):
    machine: str = "host"


class _Over(msgspec.Struct):
    run: int
    status: str | None = None


_Mark = tuple[int, ...]


class Listing:
    """The folders below ``root``. It ignores symbolic links, so all folders are inside."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[str, tuple[_Mark, Entry]] = {}

    def entries(self) -> list[Entry]:
        """Return all folders, the newest first."""
        locked = _locked()
        found: dict[str, tuple[_Mark, Entry]] = {}
        for id_, path in self._folders():
            mark = _mark(path)
            known = self._known.get(id_)
            same = known is not None and known[0] == mark and mark != _UNKNOWN
            entry = known[1] if known is not None and same else _read(id_, path)
            running = mark[0] in locked and entry.state != "damaged"
            found[id_] = mark, entry
            if running:
                entry = msgspec.structs.replace(entry, state="running")
                found[id_] = (), entry
        self._known = found
        entries = [entry for _, entry in found.values()]
        return sorted(entries, key=lambda each: (each.created_at, each.id), reverse=True)

    def path(self, id_: str) -> Path | None:
        """Return the path of a folder; ``None`` if the listing has no such folder."""
        if id_ not in self._known:
            self.entries()
        return self.root / id_ if id_ in self._known else None

    def mark(self, id_: str) -> _Mark:
        """Return a mark that changes with the folder."""
        return _mark(str(self.root / id_))

    def _folders(self, depth: int = _DEPTH, id_: str = "") -> Iterator[tuple[str, str]]:
        """Yield the name and the path of each result folder. It does not follow links."""
        try:
            with os.scandir(self.root / id_) as inside:
                names = sorted(each.name for each in inside if each.is_dir(follow_symlinks=False))
        except OSError:
            return
        for name in names:
            below = f"{id_}/{name}" if id_ else name
            path = f"{self.root}/{below}"
            if below in self._known or os.path.isfile(f"{path}/experiment.json"):  # noqa: PTH113
                yield below, path
            elif depth > 1:
                yield from self._folders(depth - 1, below)


def chosen(
    entries: Sequence[Entry], search: str = "", filters: Mapping[str, str] | None = None
) -> list[Entry]:
    """Return the entries that contain every word of a search and match the filters."""
    words = search.casefold().split()
    wanted = {name: value for name, value in (filters or {}).items() if value}
    return [
        entry
        for entry in entries
        if all(word in entry.text for word in words)
        and all(_has(entry, name, value) for name, value in wanted.items())
    ]


def _has(entry: Entry, name: str, value: str) -> bool:
    return value in entry.stacks if name == "stack" else getattr(entry, name) == value


def _mark(path: str) -> _Mark:
    """Return a mark that changes with the folder.

    Only the manifest of a folder grows. The other files are created by rename(2), which changes the
    time of the folder.
    """
    try:
        folder = os.stat(path)  # noqa: PTH116 - thousands of them
        manifest = os.stat(f"{path}/{NAME}")  # noqa: PTH116 - the same
    except OSError:
        return _UNKNOWN  # schema 1, or removed: read it each time
    return manifest.st_ino, manifest.st_mtime_ns, manifest.st_size, folder.st_mtime_ns


def _read(id_: str, path: str) -> Entry:
    try:
        asked = _decoded(f"{path}/experiment.json", _Asked)
        lines = octets(f"{path}/{NAME}").split(b"\n")[:-1]
        over: dict[int, str | None] = {}
        for line in lines:
            entry = msgspec.json.decode(line, type=_Over)
            over[entry.run] = entry.status
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Entry(id=id_, state="damaged")
    try:
        machine = _decoded(f"{path}/environment.json", _Where).machine
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        machine = ""
    complete = os.path.isfile(f"{path}/summary.json")  # noqa: PTH113 - thousands of them
    return Entry(
        id=id_,
        state="complete" if complete else "unfinished",
        name=asked.name,
        description=asked.spec.description,
        machine=machine,
        created_at=asked.created_at,
        stacks=tuple(_label(stack) for stack in asked.spec.stacks),
        runs=dict(Counter(status for status in over.values() if status is not None)),
    )


def _label(stack: Any) -> str:
    if isinstance(stack, dict):
        return str(stack.get("label") or next(iter(stack), ""))
    return str(stack)


def _decoded(path: str, type_: type[Any]) -> Any:
    return msgspec.json.decode(octets(path), type=type_)


def _locked() -> set[int]:
    """Return the inodes of locked files. The manifest of a running experiment is locked.

    It reads ``/proc/locks``, see proc_locks(5). A lock by this process would block a writer.
    """
    try:
        lines = _LOCKS.read_text().splitlines()
    except OSError:  # not Linux
        return set()
    fields = (line.split() for line in lines)
    return {int(each[5].rpartition(":")[2]) for each in fields if len(each) > 5 and ":" in each[5]}
