"""The check whether the peer of a subflow is reachable (RFC 8684, section 3.4.2)."""

from __future__ import annotations

from typing import Final

from testbed.packet.mptcp import ResetReason
from testbed.stack.mptcp.subflow import Subflow

_LEAST_NS: Final = 200_000_000
_TRIES: Final = 3


class Probe:
    """A keep-alive on a subflow whose address the peer has withdrawn.

    Until the answer the subflow counts as stale: other subflows carry its data as well.

    :ivar due_ns: when to check for an answer.
    """

    def __init__(self, subflow: Subflow, now: int) -> None:
        self.due_ns = now
        self._subflow = subflow
        self._tries = 0
        subflow.suspect()
        self._send(now)

    def expired(self, now: int) -> bool:
        """Check for an answer; return whether the probe is over, with or without one."""
        if self._subflow.tcp.heard_ns > self._sent_ns:
            self._subflow.trust()
            return True
        if self._tries >= _TRIES:
            self._subflow.reset(ResetReason.UNSPECIFIED)
            return True
        self._send(now)
        return False

    def _send(self, now: int) -> None:
        self._subflow.tcp.probe()
        self._sent_ns = now
        self.due_ns = now + (max(_LEAST_NS, self._subflow.tcp.rto_ns) << self._tries)
        self._tries += 1


class Probes:
    """The probes of one connection, at most one for each subflow."""

    __slots__ = ("_by_subflow",)

    def __init__(self) -> None:
        self._by_subflow: dict[Subflow, Probe] | None = None  # usually there are no probes

    def begin(self, subflow: Subflow, now: int) -> None:
        """Start a probe on a subflow, unless one is running."""
        known = self._by_subflow = self._by_subflow or {}
        if subflow not in known and subflow.phase.sends:
            known[subflow] = Probe(subflow, now)

    def forget(self, subflow: Subflow) -> None:
        """Forget a subflow that has ended."""
        if self._by_subflow:
            self._by_subflow.pop(subflow, None)

    def next_timer(self) -> int | None:
        """Return the time at which :meth:`handle_timer` is due."""
        if not self._by_subflow:
            return None
        return min(one.due_ns for one in self._by_subflow.values())

    def handle_timer(self, now: int) -> None:
        """Check for answers."""
        known = self._by_subflow or {}
        for subflow, probe in list(known.items()):
            if probe.due_ns <= now and probe.expired(now):
                del known[subflow]
