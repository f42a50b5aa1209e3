"""The data-level states of a connection and the table of transitions (RFC 8684, appendix D)."""

from __future__ import annotations

import enum
from typing import Final


class DataState(enum.Enum):
    """The states by MP_CAPABLE and DATA_FIN, as the states of TCP are by SYN and FIN."""

    OPENING = "M_OPENING"
    ESTABLISHED = "M_ESTABLISHED"
    FIN_WAIT_1 = "M_FIN_WAIT_1"
    FIN_WAIT_2 = "M_FIN_WAIT_2"
    CLOSING = "M_CLOSING"
    CLOSE_WAIT = "M_CLOSE_WAIT"
    LAST_ACK = "M_LAST_ACK"
    FASTCLOSE_WAIT = "M_FASTCLOSE_WAIT"  # section 3.5
    CLOSED = "M_CLOSED"

    # Hash by identity, in C: states are looked up in each step.
    __hash__ = object.__hash__


class Step(enum.Enum):
    """The causes of transitions."""

    ESTABLISH = "the keys are exchanged"
    CLOSE = "the application has closed its side: DATA_FIN is sent"
    FIN_ACKED = "the Data ACK of our DATA_FIN has come"
    FIN_RECEIVED = "the peer's DATA_FIN has come, and all data before it"
    FASTCLOSE = "MP_FASTCLOSE is sent on an ACK"
    FASTCLOSED = "RST has answered MP_FASTCLOSE, or does not come"
    ABORT = "the connection is given up"


_S, _D = Step, DataState
_OPEN: Final = (
    _D.ESTABLISHED, _D.FIN_WAIT_1, _D.FIN_WAIT_2, _D.CLOSING, _D.CLOSE_WAIT, _D.LAST_ACK
)  # fmt: skip
TRANSITIONS: Final[dict[tuple[DataState, Step], DataState]] = {
    (_D.OPENING, _S.ESTABLISH): _D.ESTABLISHED,
    (_D.ESTABLISHED, _S.CLOSE): _D.FIN_WAIT_1,
    (_D.ESTABLISHED, _S.FIN_RECEIVED): _D.CLOSE_WAIT,
    (_D.FIN_WAIT_1, _S.FIN_ACKED): _D.FIN_WAIT_2,
    (_D.FIN_WAIT_1, _S.FIN_RECEIVED): _D.CLOSING,
    (_D.FIN_WAIT_2, _S.FIN_RECEIVED): _D.CLOSED,
    (_D.CLOSING, _S.FIN_ACKED): _D.CLOSED,
    (_D.CLOSE_WAIT, _S.CLOSE): _D.LAST_ACK,
    (_D.LAST_ACK, _S.FIN_ACKED): _D.CLOSED,
    **{(state, _S.FASTCLOSE): _D.FASTCLOSE_WAIT for state in _OPEN},
    (_D.FASTCLOSE_WAIT, _S.FASTCLOSED): _D.CLOSED,
    **{(state, _S.ABORT): _D.CLOSED for state in _D if state is not _D.CLOSED},
}

# States in which an application can expect nothing more.
OVER: Final = frozenset({_D.FASTCLOSE_WAIT, _D.CLOSED})
