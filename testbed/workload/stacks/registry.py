"""The registry of stacks."""

from __future__ import annotations

from typing import Any, Final

from testbed.errors import InputError
from testbed.hints import nearest
from testbed.workload.stacks.model import Stack, StackKind
from testbed.workload.stacks.mptcp import MPTCP
from testbed.workload.stacks.tcp import TCP
from testbed.workload.stacks.userspace import USERSPACE, USERSPACE_TCP

KINDS: Final[dict[str, StackKind]] = {
    kind.name: kind for kind in (MPTCP, TCP, USERSPACE, USERSPACE_TCP)
}


def names() -> tuple[str, ...]:
    """Return the names of all stacks."""
    return tuple(KINDS)


def kind(name: str) -> StackKind:
    """Return the kind of the stack with a name.

    :raises InputError: no stack has the name.
    """
    if name not in KINDS:
        raise InputError(f"there is no stack {name!r}", hint=nearest(name, KINDS))
    return KINDS[name]


def stack(name: str, options: Any = None) -> Stack:
    """Return a stack with the given options, by default none.

    :raises InputError: no stack has the name.
    """
    found = kind(name)
    return found.make(found.options() if options is None else options)
