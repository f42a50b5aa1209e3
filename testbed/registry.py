"""Names of what can be chosen, and what other packages add to them by entry points.

There is one :class:`Registry` for each kind of thing: schedulers, probes, workloads and so on.  It
is made with what this package has, written down where it is made.  A package that has, in its
``pyproject.toml``::

    [project.entry-points."testbed.schedulers"]
    mine = "package.module:Mine"

adds the scheduler ``mine``.  Entry points are read when a name is asked for, and the module
that one names is imported when its name is the one that is asked for.  So a package that is broken
disturbs only those who use it.

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

    :param group: for example ``testbed.schedulers``.
    :param value: what it names: ``package.module:Object``.
    :param distribution: the package that has it, and its ``version``.
    """

    group: str
    name: str
    value: str
    distribution: str
    version: str

    def error(self, why: str) -> InputError:
        """Return (not raise) that it cannot be used, in one line."""
        return InputError(
            f"{self.distribution} {self.version}, entry point {self.name!r} of {self.group}: "
            f"{' '.join(why.split())}"
        )


class Registry(Generic[T]):
    """All there is of one kind, by name.

    ``registry[name]`` is a look-up in a dictionary, of what this package has and of what was found
    before; :meth:`find` and :meth:`take` find what other packages add.
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

        :param kind: what it has, as an error names it: ``"congestion control"``.
        :param group: of the entry points, as in ``testbed.congestion``.
        :param entries: this package's own: each the thing itself or, where that should not be
            imported before it is used, its place as an entry point has it.
        :param accept: is given a name and what its entry point names; returns the entry, or
            raises TypeError that says what it should be.
        """
        self.group = group
        self._kind = kind
        self._entries = dict(entries)
        self._accept = accept
        self._origins: dict[str, Plugin] = {}
        self._errors: dict[str, InputError] = {}

    def __getitem__(self, name: str) -> T:
        """Return the entry of a name that is known already.

        :raises InputError: there is none.
        """
        entry = self._entries.get(name)
        if entry is None:
            raise self._unknown(name, self._entries)
        if isinstance(entry, str):
            entry = self._entries[name] = cast("T", pkgutil.resolve_name(entry))
        return entry

    def own(self) -> list[str]:
        """Return the names that need no other package, sorted."""
        return sorted(self._entries.keys() - self._origins.keys())

    def names(self) -> list[str]:
        """Return the names of all there is, sorted; nothing is imported."""
        return sorted({*self._entries, *(plugin.name for plugin in self.plugins())})

    def register(self, name: str, entry: T) -> None:
        """Add an entry, as a program may do at its start.

        :raises InputError: the name is taken by another one.
        """
        if self._entries.setdefault(name, entry) is not entry:
            raise InputError(f"there is a {self._kind} {name!r} already: give yours another name")

    def find(self, name: str) -> T:
        """Return the entry of a name, of this package or of another one.

        :raises InputError: as :meth:`check`.
        """
        self.check(name)
        return self[name]

    def check(self, name: str) -> None:
        """Check that there is an entry of a name; what is ours is not imported for that.

        :raises InputError: there is none, it cannot be used, or two have the name.
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
        """Return the entry of a name that :meth:`find` has been asked for, perhaps elsewhere.

        Entry points are not read for what this package has itself.
        """
        return self[name] if name in self._entries else self.find(name)

    def usable(self) -> list[str]:
        """Return the names of all that can be used; what is broken, :meth:`broken` tells."""
        return [name for name in self.names() if self._works(name)]

    def working(self) -> dict[str, T]:
        """Return all that can be used, by name."""
        return {name: self[name] for name in self.usable()}

    def summaries(self) -> dict[str, str]:
        """Return a line for each name, sorted, empty for what cannot be used; all are imported."""
        working = self.working()
        return {name: summary(working.get(name)) for name in self.names()}

    def broken(self) -> tuple[InputError, ...]:
        """Return what is wrong with entry points, one error for each name; all are imported."""
        for name in {plugin.name for plugin in self.plugins()}:
            self._works(name)
        return tuple(error for _, error in sorted(self._errors.items()))

    def plugins(self) -> tuple[Plugin, ...]:
        """Return what other packages add, whether or not it works; nothing is imported."""
        return plugins(self.group)

    def origin(self, name: str) -> Plugin | None:
        """Return the entry point that an entry which was found comes from."""
        return self._origins.get(name)

    def _works(self, name: str) -> bool:
        try:
            self.check(name)
        except InputError:
            return name in self._entries  # ours is there, although a package claims its name
        return True

    def _load(self, name: str, found: list[Plugin]) -> None:
        first = found[0]
        if name in self._entries:
            error = first.error(f"there is a {self._kind} of this name already")
        elif len(found) > 1:
            others = " and ".join(f"{it.distribution} {it.version}" for it in found[1:])
            error = first.error(f"{others} adds a {self._kind} of this name, too")
        else:
            try:
                entry = self._accept(name, pkgutil.resolve_name(first.value))
            except (Exception, SystemExit) as wrong:  # whatever a stranger's module does
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
    """Return the first line of the documentation of the module that an entry comes from.

    Those of schedulers and the like say what it is, and where it was published.
    """
    module = sys.modules.get(getattr(entry, "__module__", ""))
    return ((module and module.__doc__) or "").partition("\n")[0].rstrip(".")


def making(kind: str, protocol: type) -> Callable[[str, Any], Any]:
    """Return an ``accept`` for kinds whose entry is called to make one: a class or a function.

    :param kind: what it makes, for the error.
    :param protocol: a class must have the methods of this one.
    """
    methods = [name for name, it in vars(protocol).items() if callable(it) and name[0] != "_"]

    def accept(_: str, found: Any) -> Any:
        if not callable(found):
            raise TypeError(f"{found!r} makes no {kind}: it cannot be called")
        lacking = [name for name in methods if isinstance(found, type) and not hasattr(found, name)]
        if lacking:
            raise TypeError(f"{found.__name__!r} is no {kind}: it lacks {', '.join(lacking)}")
        return found

    return accept


@functools.cache
def plugins(group: str) -> tuple[Plugin, ...]:
    """Return the entry points of a group; they are read once in the life of a program."""
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
