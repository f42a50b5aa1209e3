"""Options of one connection or open port, as setsockopt(2) sets them in Linux.

A configuration says what all connections of an endpoint have, like sysctls.  These options say
what one has instead: ``connect``, ``listen`` and ``set_options`` of a connection take them.  A
connection that is accepted begins with those of its open port.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

# What counts in the handshake or from the beginning, and cannot be set later.
_AT_FIRST: Final = ("congestion", "mss")
# What MPTCP's connection does itself, so that its subflows do not.
_OF_CONNECTION: Final = (
    "nodelay",
    "cork",
    "user_timeout_ns",
    "notsent_lowat",
    "linger",
    "linger_ns",
    "eor",
)
# What MPTCP has no room or no use for.
_NOT_OF_MPTCP: Final = ("advertised_timeout_ns",)

_MANY: Final = 1 << 62
_BOUNDS: Final = {
    "send_buffer": (1, _MANY),
    "receive_buffer": (1, _MANY),
    "mss": (88, 65_535),  # from TCP_MIN_MSS of Linux
    "keepalive_idle_ns": (1, _MANY),
    "keepalive_interval_ns": (1, _MANY),
    "keepalive_probes": (1, _MANY),
    "traffic_class": (0, 255),
    "hop_limit": (1, 255),
    "user_timeout_ns": (0, _MANY),
    "advertised_timeout_ns": (0, 0x7FFF * 60 * 1_000_000_000),  # RFC 5482: 15 bits of minutes
    "notsent_lowat": (0, _MANY),
    "linger_ns": (0, _MANY),
}


class SocketOptions(msgspec.Struct, frozen=True, kw_only=True):
    """``None`` leaves what the configuration says (``TcpConfig``, ``MptcpConfig``).

    Of MPTCP the buffers are those of the connection and of each subflow; keep-alives, fields of the
    IP header and congestion control are of all subflows, those that come later too; the user
    timeout and the limit of unsent data are the connection's.  Nagle's algorithm has no meaning
    there.

    :param congestion: TCP_CONGESTION; from the beginning only.
    :param send_buffer: SO_SNDBUF, octets; not doubled as in Linux.
    :param receive_buffer: SO_RCVBUF, octets; the window field limits what is set later.
    :param mss: TCP_MAXSEG: the MSS that is offered, and the most that is sent; from the beginning
        only.  Of MPTCP it is that of each subflow.
    :param nodelay: TCP_NODELAY: no Nagle's algorithm.
    :param cork: TCP_CORK: hold small segments back, for a retransmission timeout at most where
        nothing is in flight.
    :param keepalive: SO_KEEPALIVE; the others are TCP_KEEPIDLE, TCP_KEEPINTVL and TCP_KEEPCNT.
    :param eor: each ``send`` ends a record, as with MSG_EOR: no segment, and of MPTCP no mapping,
        has octets of two records.
    :param linger: SO_LINGER is on, with the time ``linger_ns``.  With 0, ``close`` sends RST, or
        MP_FASTCLOSE.  With more, a blocking ``close`` waits until the peer has acknowledged
        everything, or for so long, and the connection goes on by itself.
    :param traffic_class: IP_TOS or IPV6_TCLASS; ECN's bits are TCP's own.
    :param hop_limit: IP_TTL or IPV6_UNICAST_HOPS.
    :param user_timeout_ns: TCP_USER_TIMEOUT.
    :param advertised_timeout_ns: the user timeout that the peer is told of (RFC 5482); the peer's
        counts then, too.  Not of MPTCP.  Linux does not have it.
    :param notsent_lowat: TCP_NOTSENT_LOWAT, octets.
    """

    congestion: str | None = None
    send_buffer: int | None = None
    receive_buffer: int | None = None
    mss: int | None = None
    nodelay: bool | None = None
    cork: bool | None = None
    eor: bool | None = None
    keepalive: bool | None = None
    keepalive_idle_ns: int | None = None
    keepalive_interval_ns: int | None = None
    keepalive_probes: int | None = None
    linger: bool | None = None
    linger_ns: int | None = None
    traffic_class: int | None = None
    hop_limit: int | None = None
    user_timeout_ns: int | None = None
    advertised_timeout_ns: int | None = None
    notsent_lowat: int | None = None

    def given(self) -> dict[str, Any]:
        """Return those that are not ``None``, by name."""
        found = msgspec.structs.asdict(self)
        return {name: value for name, value in found.items() if value is not None}

    def check(self) -> None:
        """Refuse values that an option cannot have.  Raises ValueError."""
        for name, (low, high) in _BOUNDS.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ValueError(f"{name} cannot be {value}")

    def changed_by(self, others: SocketOptions) -> SocketOptions:
        """Return these with those that others give in their places."""
        return msgspec.structs.replace(self, **others.given())

    def begun(self) -> SocketOptions:
        """Return those that can be set once a connection has begun."""
        return msgspec.structs.replace(self, **dict.fromkeys(_AT_FIRST))

    def require_later(self) -> None:
        """Refuse what cannot be set any more once a connection has begun.  Raises ValueError."""
        _refuse(self, _AT_FIRST, "cannot be changed once a connection has begun")

    def require_mptcp(self) -> None:
        """Refuse what MPTCP does not have.  Raises ValueError."""
        _refuse(self, _NOT_OF_MPTCP, "is no option of MPTCP")

    def of_subflows(self) -> SocketOptions:
        """Return those that each subflow of MPTCP has, too."""
        return msgspec.structs.replace(self, **dict.fromkeys(_OF_CONNECTION))


NO_OPTIONS: Final = SocketOptions()


def _refuse(options: SocketOptions, names: tuple[str, ...], why: str) -> None:
    for name in names:
        if getattr(options, name) is not None:
            raise ValueError(f"{name} {why}")
