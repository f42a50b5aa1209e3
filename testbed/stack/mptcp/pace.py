"""How soon a subflow delivers, by the rate its path has delivered at of late.

A smoothed round-trip time tells too late of the queue that a burst makes.
"""

from __future__ import annotations

from typing import Final

from testbed.stack.tcp.connection import TcpConnection

_S: Final = 1_000_000_000


def expected_ns(tcp: TcpConnection, octets: int) -> int | None:
    """Return how long it takes until what it has, and so many octets more, is acknowledged.

    ``None`` before there is a sample of the round-trip time.
    """
    minimum = tcp.min_rtt_ns
    if minimum is None:
        return None
    return max(minimum, (_ahead(tcp) + octets) * _S // _rate(tcp))


def sending_ns(tcp: TcpConnection, octets: int) -> int:
    """Return how long so many octets take to leave, beside what it has already."""
    return octets * _S // _rate(tcp)


def within(tcp: TcpConnection, ns: int) -> int:
    """Return how many octets more could be acknowledged in a time; it may be less than 0."""
    return _rate(tcp) * ns // _S - _ahead(tcp)


def _ahead(tcp: TcpConnection) -> int:
    """Octets that are before what is given next."""
    return tcp.in_flight + tcp.queued


def _rate(tcp: TcpConnection) -> int:
    """Octets per second; until that is measured, a congestion window per round-trip time."""
    return tcp.delivery_rate or max(1, tcp.cwnd * _S // max(1, tcp.smoothed_rtt_ns or 0))
