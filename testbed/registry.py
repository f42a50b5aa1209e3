"""Registries of named choices, which other packages extend by entry points.

There is one :class:`Registry` for each kind: schedulers, probes, workloads and so on. It is created
with the entries of this package. A package that has, in its ``pyproject.toml``::

    [project.entry-points."testbed.schedulers"]
    mine = "package.module:Mine"

adds the scheduler ``mine``. Entry points are read at the first look-up of a name. The module of an
entry point is imported only when its name is looked up. So a broken package affects only its users.

Source: the entry points specification, https://packaging.python.org/specifications/entry-points/.
"""

from __future__ import annotations

import functools
import pkgutil
import sys
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar, cast

import msgspec

from testbed.errors import InputError
from testbed.hints import nearest

T = TypeVar("T")


class Plugin(msgspec.Struct, frozen=True, kw_only=True):
    """An entry point.

    :param group: the group of the entry point, for example ``testbed.schedulers``.
    :param value: the object reference: ``package.module:Object``.
    :param distribution: the package that contains the entry point; ``version`` is its version.
    """

    group: str
    name: str
    value: str
    distribution: str
    version: str

    def error(self, why: str) -> InputError:
        """Return (do not raise) an error of one line: the entry point cannot be used."""
        return InputError(
            f"{self.distribution} {self.version}, entry point {self.name!r} of {self.group}: "
            f"{' '.join(why.split())}"
        )


class Registry(Generic[T]):
    """All entries of one kind, by name.

    ``registry[name]`` looks up the entries of this package and the entries found before.
    :meth:`find` and :meth:`take` also look up the entries of other packages.
    """

    __slots__ = ("_accept", "_entries", "_errors", "_kind", "_origins", "group")

    def __init__(
        self,
        kind: str,
        group: str,
        entries: Mapping[str, T | str],
        accept: Callable[[str, Any], T],
    ) -> None:
        """Make a registry.

        :param kind: the kind of the entries as named in errors: ``"congestion control"``.
        :param group: the group of the entry points, for example ``testbed.congestion``.
        :param entries: the entries of this package: either the object, or its object reference if
            the object shall be imported only on use.
        :param accept: a function of a name and the object of its entry point; it returns the entry,
            or raises TypeError with the expected type.
        """
        self.group = group
        self._kind = kind
        self._entries = dict(entries)
        self._accept = accept
        self._origins: dict[str, Plugin] = {}
        self._errors: dict[str, InputError] = {}

    def __getitem__(self, name: str) -> T:
        """Return the entry of a known name.

        :raises InputError: no entry has the name.
        """
        entry = self._entries.get(name)
        if entry is None:
            raise self._unknown(name, self._entries)
        if isinstance(entry, str):
            entry = self._entries[name] = cast("T", pkgutil.resolve_name(entry))
        return entry

    def own(self) -> list[str]:
        """Return the names of this package's entries, sorted."""
        return sorted(self._entries.keys() - self._origins.keys())

    def names(self) -> list[str]:
        """Return the names of all entries, sorted, without any import."""
        return sorted({*self._entries, *(plugin.name for plugin in self.plugins())})

    def register(self, name: str, entry: T) -> None:
        """Add an entry, for example at the start of a program.

        :raises InputError: another entry has the name.
        """
        if self._entries.setdefault(name, entry) is not entry:
            raise InputError(f"the {self._kind} {name!r} already exists: choose another name")

    def find(self, name: str) -> T:
        """Return the entry of a name, from this package or from another one.

        :raises InputError: for the reasons of :meth:`check`.
        """
        self.check(name)
        return self[name]

    def check(self, name: str) -> None:
        """Check that a name has an entry. Entries of this package are not imported.

        :raises InputError: no entry has the name, two have it, or the entry cannot be used.
        """
        if name in self._errors:
            raise self._errors[name]
        if name not in self._origins:
            plugins = [plugin for plugin in self.plugins() if plugin.name == name]
            if plugins:
                self._load(name, plugins)
        if name not in self._entries:
            raise self._unknown(name, self.names())

    def take(self, name: str) -> T:
        """Return the entry of a name that :meth:`find` has found, maybe in another process.

        Entry points are not read for the entries of this package.
        """
        return self[name] if name in self._entries else self.find(name)

    def usable(self) -> list[str]:
        """Return the names of all usable entries. :meth:`broken` has the errors of the others."""
        return [name for name in self.names() if self._works(name)]

    def working(self) -> dict[str, T]:
        """Return all usable entries, by name."""
        return {name: self[name] for name in self.usable()}

    def summaries(self) -> dict[str, str]:
        """Return a line for each name, sorted; empty if unusable. All entries are imported."""
        working = self.working()
        return {name: summary(working.get(name)) for name in self.names()}

    def broken(self) -> tuple[InputError, ...]:
        """Return the errors of entry points, one for each name. All are imported."""
        for name in {plugin.name for plugin in self.plugins()}:
            self._works(name)
        return tuple(error for _, error in sorted(self._errors.items()))

    def plugins(self) -> tuple[Plugin, ...]:
        """Return the entry points of other packages, usable or not, without any import."""
        return plugins(self.group)

    def origin(self, name: str) -> Plugin | None:
        """Return the entry point of an entry that was found."""
        return self._origins.get(name)

    def _works(self, name: str) -> bool:
        try:
            self.check(name)
        except InputError:
            return name in self._entries  # ours exists although another package claims its name
        return True

    def _load(self, name: str, found: list[Plugin]) -> None:
        first = found[0]
        if name in self._entries:
            error = first.error(f"a {self._kind} of this name already exists")
        elif len(found) > 1:
            others = " and ".join(f"{it.distribution} {it.version}" for it in found[1:])
            error = first.error(f"{others} also adds a {self._kind} of this name")
        else:
            try:
                entry = self._accept(name, pkgutil.resolve_name(first.value))
            except (Exception, SystemExit) as wrong:  # a foreign module may raise any error
                said = isinstance(wrong, TypeError | InputError)
                error = first.error(str(wrong) if said else f"{type(wrong).__name__}: {wrong}")
            else:
                self._entries[name] = entry
                self._origins[name] = first
                return
        self._errors[name] = error
        raise error

    def _unknown(self, name: str, known: Any) -> InputError:
        return InputError(f"there is no {self._kind} {name!r}", hint=nearest(name, sorted(known)))


def summary(entry: Any) -> str:
    """Return the first line of the docstring of the module that defines an entry.

    For example, the line of a scheduler names the scheduler and its publication.
    """
    module = sys.modules.get(getattr(entry, "__module__", ""))
    return ((module and module.__doc__) or "").partition("\n")[0].rstrip(".")


def making(kind: str, protocol: type) -> Callable[[str, Any], Any]:
    """Return an ``accept`` for kinds whose entry is a factory: a class or a function.

    :param kind: the kind of the made object, for the error.
    :param protocol: the protocol whose methods a class must have.
    """
    methods = [name for name, it in vars(protocol).items() if callable(it) and name[0] != "_"]

    def accept(_: str, found: Any) -> Any:
        if not callable(found):
            raise TypeError(f"{found!r} cannot make a {kind}: it is not callable")
        lacking = [name for name in methods if isinstance(found, type) and not hasattr(found, name)]
        if lacking:
            raise TypeError(f"{found.__name__!r} is not a {kind}: it lacks {', '.join(lacking)}")
        return found

    return accept


@functools.cache
def plugins(group: str) -> tuple[Plugin, ...]:
    """Return the entry points of a group. They are read once per process."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - only who asks pays for it

    return tuple(
        Plugin(
            group=group,
            name=found.name,
            value=found.value,
            distribution=found.dist.name if found.dist else "?",
            version=found.dist.version if found.dist else "?",
        )
        for found in entry_points(group=group)
    )
