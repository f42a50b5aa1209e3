"""Counters of the kernel (MIB) that follow from what became of the stack's connections."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from testbed.stack.connection import Connection
from testbed.stack.mptcp.connection import MptcpConnection


def _of_mptcp(connections: Sequence[Connection]) -> list[MptcpConnection]:
    return [one for one in connections if isinstance(one, MptcpConnection)]


def _accepted(connections: Sequence[Connection]) -> int:
    return sum(not one.initiator for one in _of_mptcp(connections))


def _fallbacks(connections: Sequence[Connection], *, handshake: bool) -> int:
    """Count fallbacks of accepted connections; in the handshake there is no key of the peer yet."""
    return sum(
        one.fallback and not one.initiator and (one.keys.remote is None) is handshake
        for one in _of_mptcp(connections)
    )


# Of all connections there were, by the names that nstat(8) has.
COUNTERS: Final[dict[str, Callable[[Sequence[Connection]], int]]] = {
    "MPTcpExtMPCapableSYNRX": _accepted,
    "MPTcpExtMPCapableFallbackACK": lambda all_: _fallbacks(all_, handshake=True),
    "MPTcpExtDssFallback": lambda all_: _fallbacks(all_, handshake=False),
}
