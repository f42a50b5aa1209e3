"""Joins of this side on their way: those that must wait, and third ACKs without an answer.

RFC 8684: section 3.1 says from when on a join may leave, section 3.2 that the third ACK is sent
again until the fourth has come.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from testbed.packet.mptcp import ResetReason
from testbed.stack.mptcp.path_manager.base import OpenSubflow, PathError, SubflowPath
from testbed.stack.mptcp.subflow import Subflow

_MOST_WANTED: Final = 256  # joins that wait for a DSS


class PendingJoins:
    """Of one connection.

    :param subflows: those of the connection.
    :param join: sends MP_JOIN.
    :param retries: how often a third ACK is sent again.
    """

    __slots__ = ("_allowed", "_join", "_retries", "_subflows", "_wanted")

    def __init__(
        self,
        subflows: Sequence[Subflow],
        join: Callable[[OpenSubflow, int], None],
        retries: int,
    ) -> None:
        self._subflows = subflows
        self._join = join
        self._retries = retries
        self._wanted: list[OpenSubflow] = []
        self._allowed = False  # a DSS has come

    @property
    def allowed(self) -> bool:
        """Whether joins may leave."""
        return self._allowed

    @property
    def paths(self) -> Sequence[SubflowPath]:
        """Where those go that wait."""
        return [_path_of(one) for one in self._wanted]

    def require_room(self) -> None:
        """Refuse one more if too many wait.  Raises PathError."""
        if len(self._wanted) >= _MOST_WANTED:
            raise PathError("too many subflows wait for the peer's first data or ACK")

    def want(self, command: OpenSubflow) -> None:
        """Take a join."""
        self._wanted.append(command)

    def allow(self) -> None:
        """Take that a DSS has come."""
        self._allowed = True

    def send(self, now: int, *, possible: bool) -> None:
        """Send those that are wanted, if they may leave.

        :param possible: the connection takes further subflows; if not, they are dropped.
        """
        while self._wanted and self._allowed:
            command = self._wanted.pop(0)
            if possible:
                self._join(command, now)

    def next_timer(self) -> int | None:
        """Return when :meth:`handle_timer` has something to do."""
        due = None
        for subflow in self._subflows:
            retry_ns = subflow.opening.retry_ns
            if retry_ns is not None and (due is None or retry_ns < due):
                due = retry_ns
        return due

    def handle_timer(self, now: int) -> None:
        """Send third ACKs again, or give the join up."""
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
