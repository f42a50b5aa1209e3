"""The state of a connection at the data level, and why it ended (RFC 8684, appendix D)."""

from __future__ import annotations

from testbed.stack.connection import ConnectionFailure
from testbed.stack.mptcp.state import OVER, TRANSITIONS, DataState, Step
from testbed.stack.mptcp.streams import ReceiveStream, SendStream


class Lifecycle:
    """Of one connection.  The state changes here alone; what is not in the table raises.

    :ivar failure: why it ended too early, if it did.
    :ivar over: nothing more happens at the data level.
    """

    __slots__ = ("_taken", "failure", "over", "state")

    def __init__(self) -> None:
        self.state = DataState.OPENING
        self.failure: ConnectionFailure | None = None
        self.over = False
        self._taken: list[Step] = []

    def take(self, step: Step, failure: ConnectionFailure | None = None) -> None:
        """Go to another state.

        :param failure: what leads there.
        """
        self.failure = failure or self.failure
        self.state = TRANSITIONS[self.state, step]
        self.over = self.state in OVER

    def crash(self, error: Exception) -> None:
        """Be closed by a fault of ours; not even the table is relied on."""
        self.state = DataState.CLOSED
        self.over = True
        self.failure = ConnectionFailure.internal(error)

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
