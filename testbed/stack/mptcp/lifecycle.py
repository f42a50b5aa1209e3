"""The state of a connection at the data level, and why it ended (RFC 8684, appendix D)."""

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
        """Ask for a step."""


class Lifecycle:
    """Of one connection.  The state changes here alone; what is not in the table raises.

    When nothing more happens at the data level, the window gives its memory back, there are no
    further subflows, and the application is told.

    :ivar failure: why it ended too early, if it did.
    :ivar over: nothing more happens at the data level.
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
        self._taken: list[Step] = []

    def take(self, step: Step, failure: ConnectionFailure | None = None) -> None:
        """Go to another state.

        The application has not heard of a connection of the peer that ends before it was open.

        :param failure: what leads there.
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
        """Give the connection up, if it has not ended already."""
        if not self.over:
            self.take(step, failure)
            self._owner.touch()

    def crash(self, error: Exception) -> None:
        """Be closed by a fault of ours; not even the table is relied on."""
        self._window.release()
        if not self.over:
            self.state = DataState.CLOSED
            self.over = True
            self.failure = ConnectionFailure.internal(error)
            self._events.closed(self.failure)

    def due(self, outgoing: SendStream, incoming: ReceiveStream) -> Step | None:
        """Return the step that an orderly close has got to, if it was not returned before."""
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
        """Note a step of the orderly close; tell whether it was not noted before."""
        new = step not in self._taken
        if new:
            self._taken.append(step)
        return new
