"""The data-level state of a connection, and the reason of its end (RFC 8684, appendix D)."""

from __future__ import annotations

from typing import Protocol

from testbed.stack.connection import ConnectionFailure
from testbed.stack.mptcp.events import Events
from testbed.stack.mptcp.paths import ConnectionPaths
from testbed.stack.mptcp.state import OVER, TRANSITIONS, DataState, Step
from testbed.stack.mptcp.streams import ReceiveStream, SendStream
from testbed.stack.mptcp.window import SharedWindow


class Owner(Protocol):
    """The services of the connection that its state needs."""

    @property
    def initiator(self) -> bool:
        """Whether this side opened the connection."""

    def touch(self) -> None:
        """Request a step of the connection."""


class Lifecycle:
    """The state of one connection. Only this class changes it, by a table; other changes raise.

    At the end the window releases its memory, no subflow is added, and the application is informed.

    :ivar failure: why the connection failed, or ``None``.
    :ivar over: whether the data level has ended.
    """

    __slots__ = (
        "_events",
        "_owner",
        "_paths",
        "_taken",
        "_window",
        "failure",
        "over",
        "state",
    )

    def __init__(
        self,
        owner: Owner,
        events: Events,
        window: SharedWindow,
        paths: ConnectionPaths,
    ) -> None:
        self.state = DataState.OPENING
        self.failure: ConnectionFailure | None = None
        self.over = False
        self._events = events
        self._window = window
        self._paths = paths
        self._owner = owner
        self._taken: tuple[Step, ...] = ()

    def take(self, step: Step, failure: ConnectionFailure | None = None) -> None:
        """Change the state.

        If a connection of the peer ends before it was open, the application does not know it and is
        not informed.

        :param failure: the reason, if it is a failure.
        """
        unborn = self.state is DataState.OPENING and not self._owner.initiator
        over = self.over
        self.failure = failure or self.failure
        self.state = TRANSITIONS[self.state, step]
        self.over = self.state in OVER
        if self.over and not over:
            self._window.release()
            self._paths.set_open(False)
            if not unborn:
                self._events.closed(self.failure)

    def fail(self, failure: ConnectionFailure, step: Step = Step.ABORT) -> None:
        """Fail the connection, unless it has ended already."""
        if not self.over:
            self.take(step, failure)
            self._owner.touch()

    def crash(self, error: Exception) -> None:
        """Close after an exception in this stack, without use of the table."""
        self._window.release()
        if not self.over:
            self.state = DataState.CLOSED
            self.over = True
            self.failure = ConnectionFailure.internal(error)
            self._events.closed(self.failure)

    def due(self, outgoing: SendStream, incoming: ReceiveStream) -> Step | None:
        """Return the next step of the orderly close, if it was not returned before."""
        if self.state is DataState.OPENING:
            return None
        if outgoing.closed and self._first(Step.CLOSE):
            return Step.CLOSE
        if outgoing.fin_acked and self._first(Step.FIN_ACKED):
            return Step.FIN_ACKED
        if incoming.finished and self._first(Step.FIN_RECEIVED):
            return Step.FIN_RECEIVED
        return None

    def _first(self, step: Step) -> bool:
        """Record a step of the orderly close; return whether it is new."""
        new = step not in self._taken
        if new:
            self._taken = (*self._taken, step)
        return new
