"""The state of a subflow's TCP (RFC 9293, section 3.3.2), as MPTCP needs it."""

from __future__ import annotations

from typing import Final

from testbed.stack.tcp.state import State

_SENDS: Final = frozenset({State.ESTABLISHED, State.CLOSE_WAIT})
_CLOSING: Final = frozenset({State.FIN_WAIT_1, State.CLOSING, State.LAST_ACK})
_LEFT: Final = _CLOSING | {State.FIN_WAIT_2, State.TIME_WAIT}
_ENDED: Final = frozenset({State.CLOSE_WAIT, State.LAST_ACK, State.CLOSING, State.TIME_WAIT})


class Phase:
    """The meaning of one TCP state for a subflow. All subflows in that state share the object.

    :ivar state: the state of TCP.
    :ivar sends: whether TCP may send data.
    :ivar ended: whether the peer has closed its side, so that nothing more arrives.
    :ivar left: whether this side has closed the subflow.
    :ivar closing: whether our FIN is not acknowledged yet.
    :ivar retired: whether the peer has closed its side, and this one has not.
    :ivar fin_acked: whether our FIN is acknowledged, according to the state.
    """

    __slots__ = ("closing", "ended", "fin_acked", "left", "retired", "sends", "state")

    def __init__(self, state: State) -> None:
        self.state = state
        self.sends = state in _SENDS
        self.ended = state in _ENDED
        self.left = state in _LEFT
        self.closing = state in _CLOSING
        self.retired = state is State.CLOSE_WAIT
        self.fin_acked = state in (State.FIN_WAIT_2, State.TIME_WAIT)


PHASES: Final = {state: Phase(state) for state in State}
