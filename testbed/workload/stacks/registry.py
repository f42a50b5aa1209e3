"""The stacks there are, by name."""

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
    """Return what the stack of that name is.

    :raises InputError: there is none.
    """
    if name not in KINDS:
        raise InputError(f"there is no stack {name!r}", hint=nearest(name, KINDS))
    return KINDS[name]


def stack(name: str, options: Any = None) -> Stack:
    """Return a stack with these options, by default without any.

    :raises InputError: there is none.
    """
    found = kind(name)
    return found.make(found.options() if options is None else options)
