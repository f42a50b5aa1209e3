"""The kernel's counters (MIB), computed from the history of the stack's connections."""

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
    """All connections so far, and the SYNs of those that we opened.

    :ivar without_mptcp: how many attempts to open one failed before a SYN without MPTCP.
    """

    def __init__(self) -> None:
        self._connections: list[Connection] = []
        self._syns: dict[Flow, list[bool]] = {}  # whether each SYN requested MPTCP
        self.without_mptcp = 0

    @property
    def connections(self) -> Sequence[Connection]:
        """The connections."""
        return self._connections

    def began(self, connection: Connection) -> None:
        """Record a connection."""
        self._connections.append(connection)

    def began_without_mptcp(self) -> None:
        """Record an attempt to open a connection, which would have left MPTCP out."""
        self.without_mptcp += 1

    def sent(self, segment: Segment) -> None:
        """Record a sent segment."""
        if segment.flags & (SYN | ACK) == SYN:
            asks = find(segment.options, MpCapable) is not None
            self._syns.setdefault(Flow(segment.source, segment.destination), []).append(asks)

    def accepted(self) -> list[MptcpConnection]:
        """Return the MPTCP connections that the peer has opened."""
        return [one for one in self._of_mptcp() if not one.initiator]

    def opened(self) -> list[tuple[MptcpConnection, list[bool]]]:
        """Return the MPTCP connections that we have opened, with their SYNs."""
        return [(one, self._syns.get(one.flow, [])) for one in self._of_mptcp() if one.initiator]

    def _of_mptcp(self) -> list[MptcpConnection]:
        return [one for one in self._connections if isinstance(one, MptcpConnection)]


def _fallbacks(history: History, *, handshake: bool) -> int:
    """Count fallbacks of accepted connections. In the handshake the peer's key is unknown."""
    return sum(
        one.fallback and (one.keys.remote is None) is handshake for one in history.accepted()
    )


def _dropped(history: History) -> int:
    """Count connections that omitted MP_CAPABLE from later SYNs."""
    return sum(any(syns) and not all(syns) for _, syns in history.opened())


def _black_holes(history: History) -> int:
    """Count such connections that the first SYN without MP_CAPABLE has opened."""
    return sum(
        any(syns) and syns.count(False) == 1 and one.state is not DataState.OPENING
        for one, syns in history.opened()
    )


# By the names of nstat(8).
COUNTERS: Final[dict[str, Callable[[History], int]]] = {
    "MPTcpExtMPCapableSYNRX": lambda history: len(history.accepted()),
    "MPTcpExtMPCapableFallbackACK": lambda history: _fallbacks(history, handshake=True),
    "MPTcpExtDssFallback": lambda history: _fallbacks(history, handshake=False),
    "MPTcpExtMPCapableSYNTXDrop": _dropped,
    "MPTcpExtBlackhole": _black_holes,
    "MPTcpExtMPCapableSYNTXDisabled": lambda history: (
        history.without_mptcp + sum(syns[:1] == [False] for _, syns in history.opened())
    ),
    "MPTcpExtMPCapableDataFallback": lambda history: sum(
        one.fallback and one.keys.remote is not None for one, _ in history.opened()
    ),
}
