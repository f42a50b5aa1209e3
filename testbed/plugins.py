"""What other packages add to the userspace stack, by entry points.

A package that has, in its ``pyproject.toml``::

    [project.entry-points."testbed.schedulers"]
    mine = "package.module:Mine"

adds the scheduler ``mine``; ``testbed.path_managers`` and ``testbed.congestion_controls`` are the
groups of path managers and of congestion controls.  What an entry point names is called as the
stack's own entries are: see ``SCHEDULERS`` and ``PATH_MANAGERS`` in :mod:`testbed.stack.mptcp`'s
packages ``scheduler`` and ``path_manager``, and ``CONTROLS`` in
:mod:`testbed.stack.tcp.congestion`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any, Final

from testbed.errors import InputError
from testbed.stack.mptcp.path_manager import PATH_MANAGERS
from testbed.stack.mptcp.scheduler import SCHEDULERS
from testbed.stack.registry import Registry
from testbed.stack.tcp.congestion import CONTROLS

GROUPS: Final[Mapping[str, Registry[Any]]] = {
    "testbed.schedulers": SCHEDULERS,
    "testbed.path_managers": PATH_MANAGERS,
    "testbed.congestion_controls": CONTROLS,
}


@functools.cache
def load() -> None:
    """Register them, once in the life of a program.

    :raises InputError: two have one name, or one cannot be loaded.
    """
    for group, registry in GROUPS.items():
        for name, entry in _found(group):
            registry.register(name, entry)


@functools.cache
def entries(group: str) -> Mapping[str, Any]:
    """Return what the entry points of a group name, by their names; loaded once.

    :raises InputError: two have one name, or one cannot be loaded.
    """
    loaded: dict[str, Any] = {}
    for name, entry in _found(group):
        if name in loaded:
            raise InputError(f"{group}: two packages add {name!r}")
        loaded[name] = entry
    return loaded


def _found(group: str) -> Iterator[tuple[str, Any]]:
    for found in entry_points(group=group):
        try:
            entry = found.load()
        except (ImportError, AttributeError) as error:
            raise InputError(f"entry point {found.name!r} of {group}: {error}") from error
        yield found.name, entry
