"""Telling observers what happens.

Names of MPTCP events are those of the kernel's path-manager events (``mptcp_pm`` in
``Documentation/netlink/specs``): created, established, closed, announced, removed,
sub_established, sub_closed, sub_priority.  So a trace of ours and one of the kernel's can be
compared line by line.  One is ours alone: ``fault``, a mistake in the stack that has ended a
connection.
"""

from __future__ import annotations

from typing import Any, Protocol


class Tracer(Protocol):
    """Is told of events."""

    def event(self, name: str, now: int, fields: dict[str, Any]) -> None:
        """Something happened at ``now`` (nanoseconds); ``fields`` are as JSON can hold them."""


class NullTracer:
    """Keeps nothing."""

    def event(self, name: str, now: int, fields: dict[str, Any]) -> None:
        """Do nothing."""


class Tracers:
    """Tells several of them."""

    def __init__(self, *tracers: Tracer) -> None:
        self._tracers = tracers

    def event(self, name: str, now: int, fields: dict[str, Any]) -> None:
        """Tell all."""
        for tracer in self._tracers:
            tracer.event(name, now, fields)
