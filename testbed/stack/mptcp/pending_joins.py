"""The joins of this side that wait to be sent, and third ACKs without an answer.

RFC 8684: section 3.1 says when a join may be sent, section 3.2 that the third ACK is retransmitted
until the fourth ACK arrives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from testbed.packet.mptcp import ResetReason
from testbed.stack.mptcp.path_manager.base import OpenSubflow, PathError, SubflowPath
from testbed.stack.mptcp.subflow import Subflow

_MOST_WANTED: Final = 256  # joins that wait for a DSS


class Owner(Protocol):
    """The service of the connection that joins need."""

    def join(self, command: OpenSubflow, now: int) -> None:
        """Open an additional subflow."""


class PendingJoins:
    """The pending joins of one connection.

    :param subflows: the subflows of the connection.
    :param owner: sends MP_JOIN.
    :param retries: how many times a third ACK is retransmitted.
    :ivar allowed: whether joins may be sent: a DSS was received.
    """

    __slots__ = ("_owner", "_retries", "_subflows", "_wanted", "allowed")

    def __init__(
        self,
        subflows: Sequence[Subflow],
        owner: Owner,
        retries: int,
    ) -> None:
        self._subflows = subflows
        self._owner = owner
        self._retries = retries
        self._wanted: tuple[OpenSubflow, ...] = ()
        self.allowed = False

    @property
    def paths(self) -> Sequence[SubflowPath]:
        """The paths of the waiting joins."""
        return [_path_of(one) for one in self._wanted]

    def require_room(self) -> None:
        """Check that one more join may wait. Raises PathError."""
        if len(self._wanted) >= _MOST_WANTED:
            raise PathError("too many subflows wait for the peer's first data or ACK")

    def want(self, command: OpenSubflow) -> None:
        """Queue a join."""
        self._wanted = (*self._wanted, command)

    def allow(self) -> None:
        """Record that a DSS was received, which allows joins."""
        self.allowed = True

    def send(self, now: int, *, possible: bool) -> None:
        """Send the waiting joins if they are allowed.

        :param possible: whether the connection accepts subflows. Otherwise the joins are dropped.
        """
        while self._wanted and self.allowed:
            command, self._wanted = self._wanted[0], self._wanted[1:]
            if possible:
                self._owner.join(command, now)

    def next_timer(self) -> int | None:
        """Return the time at which :meth:`handle_timer` is due."""
        due = None
        for subflow in self._subflows:
            retry_ns = subflow.opening.retry_ns
            if retry_ns is not None and (due is None or retry_ns < due):
                due = retry_ns
        return due

    def handle_timer(self, now: int) -> None:
        """Retransmit third ACKs, or give up joins."""
        for subflow in self._subflows:
            opening = subflow.opening
            if opening.retry_ns is not None and opening.retry_ns <= now:
                opening.answered()
                if opening.tries > self._retries:
                    subflow.reset(ResetReason.UNSPECIFIED, transient=True)
                else:
                    subflow.tcp.request_ack()
                    opening.await_answer(now, subflow.tcp.rto_ns)


def _path_of(command: OpenSubflow) -> SubflowPath:
    return SubflowPath(
        local_host=command.local_host,
        local_id=command.local_id,
        remote=command.remote.address,
        remote_id=command.remote.id,
    )
