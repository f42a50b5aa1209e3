"""Trace events for observers.

Names of MPTCP events are those of the kernel's path-manager events (``mptcp_pm`` in
``Documentation/netlink/specs``): created, established, closed, announced, removed, sub_established,
sub_closed, sub_priority. So a trace of our stack and one of the kernel can be compared line by
line. One event exists only here: ``fault``, an error in the stack that has ended a connection.
"""

from __future__ import annotations

from typing import Any, Protocol


class Tracer(Protocol):
    """An observer of events."""

    def event(self, name: str, now: int, fields: dict[str, Any]) -> None:
        """Handle an event at ``now`` (nanoseconds). JSON can represent ``fields``."""


class NullTracer:
    """An observer that ignores all events."""

    def event(self, name: str, now: int, fields: dict[str, Any]) -> None:
        """Do nothing."""


class Tracers:
    """An observer that forwards events to several observers."""

    def __init__(self, *tracers: Tracer) -> None:
        self._tracers = tracers

    def event(self, name: str, now: int, fields: dict[str, Any]) -> None:
        """Forward the event to all."""
        for tracer in self._tracers:
            tracer.event(name, now, fields)
