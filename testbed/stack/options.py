"""The options of one connection or open port, as setsockopt(2) of Linux sets them.

A configuration applies to all connections of an endpoint, like sysctls. These options override it
for one connection: ``connect``, ``listen`` and ``set_options`` take them. An accepted connection
starts with the options of its open port.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

# Options that only the handshake or the start of a connection uses.
_AT_FIRST: Final = ("congestion", "mss")
# Options that an MPTCP connection implements itself, instead of its subflows.
_OF_CONNECTION: Final = (
    "nodelay",
    "cork",
    "user_timeout_ns",
    "notsent_lowat",
    "linger",
    "linger_ns",
    "eor",
)
# Options that MPTCP has no room or no use for.
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
    """The options of a socket. ``None`` keeps the value of the configuration.

    The configuration is a ``TcpConfig`` or ``MptcpConfig``. For MPTCP, the buffer sizes apply to
    the connection and to each subflow. Keep-alives, fields of the IP header and the congestion
    control apply to all subflows, including later ones. The user timeout and the limit of unsent
    data apply to the connection. Nagle's algorithm does not apply.

    :param congestion: TCP_CONGESTION; only before the connection starts.
    :param send_buffer: SO_SNDBUF in octets, not doubled as in Linux.
    :param receive_buffer: SO_RCVBUF in octets. The window scale limits later changes.
    :param mss: TCP_MAXSEG: the offered MSS and the limit of sent segments; only before the
        connection starts. For MPTCP it applies to each subflow.
    :param nodelay: TCP_NODELAY, which disables Nagle's algorithm.
    :param cork: TCP_CORK: hold back small segments, at most for a retransmission timeout while
        nothing is in flight.
    :param keepalive: SO_KEEPALIVE. The others are TCP_KEEPIDLE, TCP_KEEPINTVL and TCP_KEEPCNT.
    :param eor: end a record with each ``send``, as with MSG_EOR. No segment, and for MPTCP no
        mapping, has octets of two records.
    :param linger: SO_LINGER with the time ``linger_ns``. If that is 0, ``close`` sends RST or
        MP_FASTCLOSE. Otherwise a blocking ``close`` waits until the peer has acknowledged
        everything, or for that time. Then the connection ends in the background.
    :param traffic_class: IP_TOS or IPV6_TCLASS; ECN's bits are TCP's own.
    :param hop_limit: IP_TTL or IPV6_UNICAST_HOPS.
    :param user_timeout_ns: TCP_USER_TIMEOUT.
    :param advertised_timeout_ns: the advertised user timeout (RFC 5482). It also enables the
        peer's. MPTCP and Linux do not have it.
    :param notsent_lowat: TCP_NOTSENT_LOWAT in octets.
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
        """Return the options that are not ``None``, by name."""
        found = msgspec.structs.asdict(self)
        return {name: value for name, value in found.items() if value is not None}

    def check(self) -> None:
        """Check the values. Raises ValueError."""
        for name, (low, high) in _BOUNDS.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ValueError(f"{name} cannot be {value}")

    def changed_by(self, others: SocketOptions) -> SocketOptions:
        """Return a copy with the given options of another one."""
        return msgspec.structs.replace(self, **others.given())

    def begun(self) -> SocketOptions:
        """Return the options that can be set after a connection has started."""
        return msgspec.structs.replace(self, **dict.fromkeys(_AT_FIRST))

    def require_later(self) -> None:
        """Check that a started connection can still set all options. Raises ValueError."""
        _refuse(self, _AT_FIRST, "cannot be changed after a connection has begun")

    def require_mptcp(self) -> None:
        """Check that MPTCP has all options. Raises ValueError."""
        _refuse(self, _NOT_OF_MPTCP, "is not an option of MPTCP")

    def of_subflows(self) -> SocketOptions:
        """Return the options that each subflow of MPTCP has as well."""
        return msgspec.structs.replace(self, **dict.fromkeys(_OF_CONNECTION))


NO_OPTIONS: Final = SocketOptions()


def _refuse(options: SocketOptions, names: tuple[str, ...], why: str) -> None:
    for name in names:
        if getattr(options, name) is not None:
            raise ValueError(f"{name} {why}")
