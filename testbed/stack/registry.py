"""Names of what can be chosen: congestion controls, schedulers, path managers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

from testbed.errors import InputError

_T = TypeVar("_T")


class Registry(Generic[_T]):
    """A dictionary from names to what makes one of a kind.

    The stack's own entries are written down where the registry is made.  Further ones are
    registered once, at the start of a program and from outside the stack.
    """

    __slots__ = ("_entries", "_kind")

    def __init__(self, kind: str, entries: Mapping[str, _T]) -> None:
        """Make a registry.

        :param kind: what it has, as an error names it: ``"congestion control"``.
        """
        self._kind = kind
        self._entries = dict(entries)

    def register(self, name: str, entry: _T) -> None:
        """Add an entry.

        :raises InputError: the name is taken by another one.
        """
        if self._entries.setdefault(name, entry) is not entry:
            raise InputError(f"there is a {self._kind} {name!r} already: give yours another name")

    def names(self) -> list[str]:
        """Return the names there are, sorted."""
        return sorted(self._entries)

    def __getitem__(self, name: str) -> _T:
        """Return the entry of a name.

        :raises InputError: there is none.
        """
        try:
            return self._entries[name]
        except KeyError:
            raise InputError(
                f"no {self._kind} {name!r}; there are {', '.join(self.names())}"
            ) from None
