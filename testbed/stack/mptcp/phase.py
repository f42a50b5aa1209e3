"""The state of a subflow's TCP (RFC 9293, section 3.3.2), as far as MPTCP goes by it."""

from __future__ import annotations

from typing import Final

from testbed.stack.tcp.state import State

_SENDS: Final = frozenset({State.ESTABLISHED, State.CLOSE_WAIT})
_CLOSING: Final = frozenset({State.FIN_WAIT_1, State.CLOSING, State.LAST_ACK})
_LEFT: Final = _CLOSING | {State.FIN_WAIT_2, State.TIME_WAIT}
_ENDED: Final = frozenset({State.CLOSE_WAIT, State.LAST_ACK, State.CLOSING, State.TIME_WAIT})


class Phase:
    """Of one subflow, which tells it of each transition.

    :ivar state: TCP's.
    :ivar begun: TCP's handshake was done, be it over by now.
    """

    __slots__ = ("begun", "state")

    def __init__(self) -> None:
        self.state = State.CLOSED
        self.begun = False

    def become(self, state: State) -> None:
        """Take a new state."""
        self.state = state
        self.begun |= state is State.ESTABLISHED

    @property
    def sends(self) -> bool:
        """Whether TCP lets it send."""
        return self.state in _SENDS

    @property
    def ended(self) -> bool:
        """Whether everything has come that ever will: the peer has closed its side of it."""
        return self.state in _ENDED

    @property
    def left(self) -> bool:
        """Whether this side has closed it."""
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
        """Whether our FIN is acknowledged, as far as the state tells."""
        return self.state in (State.FIN_WAIT_2, State.TIME_WAIT)
