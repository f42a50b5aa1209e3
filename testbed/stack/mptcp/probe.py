"""Asking whether the peer of a subflow is there (RFC 8684, section 3.4.2)."""

from __future__ import annotations

from typing import Final

from testbed.stack.mptcp.subflow import Subflow
from testbed.stack.packet.mptcp import ResetReason

_LEAST_NS: Final = 200_000_000
_TRIES: Final = 3


class Probe:
    """A keep-alive on a subflow whose address the peer has withdrawn.

    Until it is answered, the subflow counts as stale: others carry its data as well.

    :ivar due_ns: when to look for an answer.
    """

    def __init__(self, subflow: Subflow, now: int) -> None:
        self.due_ns = now
        self._subflow = subflow
        self._tries = 0
        subflow.suspect()
        self._send(now)

    def expired(self, now: int) -> bool:
        """Look for an answer; tell whether it is over, be it that the subflow ends."""
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
