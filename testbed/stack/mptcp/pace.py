"""The delivery time of a subflow, estimated from its recent delivery rate.

The smoothed round-trip time reflects the queue of a burst too late.
"""

from __future__ import annotations

from typing import Final

from testbed.stack.tcp.connection import TcpConnection

_S: Final = 1_000_000_000


def expected_ns(tcp: TcpConnection, octets: int) -> int | None:
    """Return the time until its data and this many octets more are acknowledged.

    ``None`` before there is a sample of the round-trip time.
    """
    minimum = tcp.min_rtt_ns
    if minimum is None:
        return None
    return max(minimum, (_ahead(tcp) + octets) * _S // _rate(tcp))


def sending_ns(tcp: TcpConnection, octets: int) -> int:
    """Return the time to send its data and this many octets more."""
    return octets * _S // _rate(tcp)


def within(tcp: TcpConnection, ns: int) -> int:
    """Return how many octets more could be acknowledged in a time; may be negative."""
    return _rate(tcp) * ns // _S - _ahead(tcp)


def _ahead(tcp: TcpConnection) -> int:
    """How many octets are before the data that is given next."""
    return tcp.in_flight + tcp.queued


def _rate(tcp: TcpConnection) -> int:
    """The rate in octets per second; before a measurement, a congestion window per round trip."""
    return tcp.delivery_rate or max(1, tcp.cwnd * _S // max(1, tcp.smoothed_rtt_ns or 0))
