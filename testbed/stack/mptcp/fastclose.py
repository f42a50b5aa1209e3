"""The abort of a connection by MP_FASTCLOSE on an ACK (RFC 8684, section 3.5, option A)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from testbed.packet.mptcp import MpFastclose
from testbed.stack.mptcp.keys import Keys
from testbed.stack.mptcp.subflow import Subflow

_RETRIES: Final = 3  # the number that section 3.5 recommends


class FastClose:
    """The retransmission of MP_FASTCLOSE on the ACKs of one subflow, until the peer sends RST.

    :ivar retry_ns: when MP_FASTCLOSE is retransmitted or given up.
    """

    __slots__ = ("_asked", "_count", "_due", "_keys", "_on", "_subflows", "_tries", "retry_ns")

    def __init__(
        self, keys: Keys, subflows: Sequence[Subflow], count: Callable[[str], None]
    ) -> None:
        self._count = count
        self.retry_ns: int | None = None
        self._keys = keys
        self._subflows = subflows
        self._on: Subflow | None = None  # the subflow on which the answer is awaited
        self._asked: int | None = None  # the number of that subflow, kept afterwards
        self._due = False
        self._tries = 0

    def begin(self) -> bool:
        """Choose a subflow whose handshake is complete; return whether there is one."""
        usable = [one for one in self._subflows if one.usable and one.confirmed]
        usable = [one for one in usable if not one.fallback]
        self._on = min(usable, key=lambda one: one.carried.stale, default=None)
        self._due = self._on is not None
        self._asked = None if self._on is None else self._on.number
        return self._due

    def step(self, now: int) -> None:
        """Send MP_FASTCLOSE when it is due. Stop after the peer's answer."""
        subflow = self._on
        if subflow is None:
            return
        if subflow.tcp.closed or subflow.inbound.fastclosed:  # the peer may close fast as well
            self._stop()
        elif self._due:
            self._send(subflow, now)

    def unanswered(self, subflow: Subflow) -> bool:
        """Return whether MP_FASTCLOSE was sent on a subflow, and the peer has sent none there."""
        return subflow.number == self._asked and not subflow.inbound.fastclosed

    def keeps(self, subflow: Subflow) -> bool:
        """Return whether a subflow must wait for the peer's answer and drops everything else."""
        if subflow is not self._on:
            return False
        subflow.tcp.read(subflow.tcp.readable)
        return True

    def gives_up(self, now: int) -> bool:
        """Retransmit if the timer has expired; return whether that was the last attempt."""
        if self.retry_ns is None or now < self.retry_ns:
            return False
        self.retry_ns = None
        if self._tries > _RETRIES:
            self._stop()
            return True
        self._due = True
        return False

    def _send(self, subflow: Subflow, now: int) -> None:
        assert self._keys.remote is not None  # noqa: S101 - the subflow is confirmed
        self._due = False
        subflow.tcp.forget_data()
        subflow.outbox.clear()
        self._count("MPFastcloseTx")
        subflow.outbox.add(MpFastclose(receiver_key=self._keys.remote))
        subflow.tcp.request_ack()
        self.retry_ns = now + (subflow.tcp.rto_ns << self._tries)
        self._tries += 1

    def _stop(self) -> None:
        self._on = self.retry_ns = None
