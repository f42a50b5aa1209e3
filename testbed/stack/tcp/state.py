"""The states of a connection and the table of transitions (RFC 9293, section 3.3.2)."""

from __future__ import annotations

import enum
from typing import Final


class State(enum.Enum):
    """The states of RFC 9293, figure 5."""

    CLOSED = "CLOSED"
    LISTEN = "LISTEN"
    SYN_SENT = "SYN-SENT"
    SYN_RECEIVED = "SYN-RECEIVED"
    ESTABLISHED = "ESTABLISHED"
    FIN_WAIT_1 = "FIN-WAIT-1"
    FIN_WAIT_2 = "FIN-WAIT-2"
    CLOSE_WAIT = "CLOSE-WAIT"
    CLOSING = "CLOSING"
    LAST_ACK = "LAST-ACK"
    TIME_WAIT = "TIME-WAIT"

    # Hash by identity, in C: states are looked up for each segment.
    __hash__ = object.__hash__


class Trigger(enum.Enum):
    """The causes for leaving a state: the arrows of The states of RFC 9293, figure 5."""

    ACTIVE_OPEN = "active OPEN"
    SYN = "receive SYN"
    SYN_ACK = "receive SYN,ACK"
    ACK_OF_SYN = "receive ACK of SYN"
    CLOSE = "CLOSE"
    FIN = "receive FIN"
    ACK_OF_FIN = "receive ACK of FIN"
    TIMEOUT = "timeout=2MSL"
    DELETE = "delete TCB"  # after reset, abort or timeout, from any state

    __hash__ = object.__hash__


# A CLOSE in SYN-SENT or SYN-RECEIVED is queued until ESTABLISHED (section 3.10.4), so the arrow
# from SYN-RECEIVED to FIN-WAIT-1 is taken in two steps.
TRANSITIONS: Final[dict[tuple[State, Trigger], State]] = {
    (State.CLOSED, Trigger.ACTIVE_OPEN): State.SYN_SENT,
    (State.LISTEN, Trigger.SYN): State.SYN_RECEIVED,
    (State.SYN_SENT, Trigger.SYN): State.SYN_RECEIVED,
    (State.SYN_SENT, Trigger.SYN_ACK): State.ESTABLISHED,
    (State.SYN_RECEIVED, Trigger.ACK_OF_SYN): State.ESTABLISHED,
    (State.ESTABLISHED, Trigger.CLOSE): State.FIN_WAIT_1,
    (State.ESTABLISHED, Trigger.FIN): State.CLOSE_WAIT,
    (State.FIN_WAIT_1, Trigger.ACK_OF_FIN): State.FIN_WAIT_2,
    (State.FIN_WAIT_1, Trigger.FIN): State.CLOSING,
    (State.FIN_WAIT_2, Trigger.FIN): State.TIME_WAIT,
    (State.CLOSE_WAIT, Trigger.CLOSE): State.LAST_ACK,
    (State.CLOSING, Trigger.ACK_OF_FIN): State.TIME_WAIT,
    (State.LAST_ACK, Trigger.ACK_OF_FIN): State.CLOSED,
    (State.TIME_WAIT, Trigger.TIMEOUT): State.CLOSED,
    **{
        (state, Trigger.DELETE): State.CLOSED
        for state in State
        if state not in (State.CLOSED, State.LISTEN)
    },
}

HANDSHAKE: Final = frozenset({State.LISTEN, State.SYN_SENT, State.SYN_RECEIVED})
# States in which the peer may still send data.
RECEIVING: Final = frozenset({State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2})
# States in which each segment of the flow belongs to the connection.
OPEN: Final = RECEIVING | {State.CLOSE_WAIT, State.CLOSING, State.LAST_ACK}
# States in which an application can expect nothing more.
OVER: Final = frozenset({State.TIME_WAIT, State.CLOSED})
# States in which ABORT sends RST (section 3.10.5).
RESETTABLE: Final = RECEIVING | {State.SYN_RECEIVED, State.CLOSE_WAIT}
# States in which the sending side has been closed.
SHUT: Final = frozenset(
    {State.FIN_WAIT_1, State.FIN_WAIT_2, State.CLOSING, State.LAST_ACK, State.TIME_WAIT}
)
