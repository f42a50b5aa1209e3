"""Counters of the kernel (MIB) that follow from what the stack's connections did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from testbed.packet.address import Flow
from testbed.packet.mptcp import MpCapable
from testbed.packet.options import find
from testbed.packet.segment import ACK, SYN, Segment
from testbed.stack.connection import Connection
from testbed.stack.mptcp.connection import MptcpConnection
from testbed.stack.mptcp.state import DataState


class History:
    """All connections there were, and the SYNs with which ours began."""

    def __init__(self) -> None:
        self._connections: list[Connection] = []
        self._syns: dict[Flow, list[bool]] = {}  # whether each has asked for MPTCP

    @property
    def connections(self) -> Sequence[Connection]:
        """The connections."""
        return self._connections

    def began(self, connection: Connection) -> None:
        """Take a further connection."""
        self._connections.append(connection)

    def sent(self, segment: Segment) -> None:
        """Take a segment that has left."""
        if segment.flags & (SYN | ACK) == SYN:
            asks = find(segment.options, MpCapable) is not None
            self._syns.setdefault(Flow(segment.source, segment.destination), []).append(asks)

    def accepted(self) -> list[MptcpConnection]:
        """Return the connections of MPTCP that the peer has begun."""
        return [one for one in self._of_mptcp() if not one.initiator]

    def opened(self) -> list[tuple[MptcpConnection, list[bool]]]:
        """Return those that we have begun, with their SYNs."""
        return [(one, self._syns.get(one.flow, [])) for one in self._of_mptcp() if one.initiator]

    def _of_mptcp(self) -> list[MptcpConnection]:
        return [one for one in self._connections if isinstance(one, MptcpConnection)]


def _fallbacks(history: History, *, handshake: bool) -> int:
    """Count fallbacks of accepted connections; in the handshake there is no key of the peer yet."""
    return sum(
        one.fallback and (one.keys.remote is None) is handshake for one in history.accepted()
    )


def _dropped(history: History) -> int:
    """Count connections that have left MP_CAPABLE out after a while."""
    return sum(any(syns) and not all(syns) for _, syns in history.opened())


def _black_holes(history: History) -> int:
    """Count those of them that the first SYN without it has opened."""
    return sum(
        any(syns) and syns.count(False) == 1 and one.state is not DataState.OPENING
        for one, syns in history.opened()
    )


# By the names that nstat(8) has.
COUNTERS: Final[dict[str, Callable[[History], int]]] = {
    "MPTcpExtMPCapableSYNRX": lambda history: len(history.accepted()),
    "MPTcpExtMPCapableFallbackACK": lambda history: _fallbacks(history, handshake=True),
    "MPTcpExtDssFallback": lambda history: _fallbacks(history, handshake=False),
    "MPTcpExtMPCapableSYNTXDrop": _dropped,
    "MPTcpExtBlackhole": _black_holes,
    "MPTcpExtMPCapableSYNTXDisabled": lambda history: sum(
        syns[:1] == [False] for _, syns in history.opened()
    ),
}
