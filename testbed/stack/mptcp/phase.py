"""The state of a subflow's TCP (RFC 9293, section 3.3.2), as MPTCP needs it."""

from __future__ import annotations

from typing import Final

from testbed.stack.tcp.state import State

_SENDS: Final = frozenset({State.ESTABLISHED, State.CLOSE_WAIT})
_CLOSING: Final = frozenset({State.FIN_WAIT_1, State.CLOSING, State.LAST_ACK})
_LEFT: Final = _CLOSING | {State.FIN_WAIT_2, State.TIME_WAIT}
_ENDED: Final = frozenset({State.CLOSE_WAIT, State.LAST_ACK, State.CLOSING, State.TIME_WAIT})


class Phase:
    """The TCP state of one subflow, which reports each transition.

    :ivar state: the state of TCP.
    :ivar begun: whether TCP's handshake was completed, even if the subflow has ended.
    """

    __slots__ = ("begun", "state")

    def __init__(self) -> None:
        self.state = State.CLOSED
        self.begun = False

    def become(self, state: State) -> None:
        """Record a new state."""
        self.state = state
        self.begun |= state is State.ESTABLISHED

    @property
    def sends(self) -> bool:
        """Whether TCP may send data."""
        return self.state in _SENDS

    @property
    def ended(self) -> bool:
        """Whether the peer has closed its side, so that nothing more arrives."""
        return self.state in _ENDED

    @property
    def left(self) -> bool:
        """Whether this side has closed the subflow."""
        return self.state in _LEFT

    @property
    def closing(self) -> bool:
        """Whether our FIN is not acknowledged yet."""
        return self.state in _CLOSING

    @property
    def retired(self) -> bool:
        """Whether the peer has closed its side, and this one has not."""
        return self.state is State.CLOSE_WAIT

    @property
    def fin_acked(self) -> bool:
        """Whether our FIN is acknowledged, according to the state."""
        return self.state in (State.FIN_WAIT_2, State.TIME_WAIT)
