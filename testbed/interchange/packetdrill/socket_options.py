"""Options of sockets, as options of the stack or fields of its configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from testbed.packet.segment import HOP_LIMIT
from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.options import SocketOptions
from testbed.stack.tcp.config import TcpConfig


def with_options(
    config: MptcpConfig, options: Mapping[str, int], cookie_keys: tuple[bytes, ...]
) -> MptcpConfig:
    """Return the configuration of the connections of a socket with these options.

    :param cookie_keys: the keys of TCP_FASTOPEN_KEY, if it has any.
    """
    changes: dict[str, Any] = {
        field: read(options[name])
        for name, (field, read) in _OF_ENDPOINTS.items()
        if name in options
    }
    if any(map(options.get, _OPENING_FAST)):
        changes["fast_open"] = True
    if cookie_keys:
        changes["fast_open_keys"] = cookie_keys
    return msgspec.structs.replace(config, tcp=msgspec.structs.replace(config.tcp, **changes))


_OPENING_FAST: Final = ("TCP_FASTOPEN", "TCP_FASTOPEN_CONNECT", "MSG_FASTOPEN")
_S: Final = 1_000_000_000
_MS: Final = 1_000_000
# Socket options that here apply to all connections of an endpoint, as fields of its configuration.
_OF_ENDPOINTS: Final[dict[str, tuple[str, Callable[[int], Any]]]] = {
    "TCP_SYNCNT": ("syn_retries", int),
    "TCP_FASTOPEN": ("fast_open_pending", int),
    "TCP_FASTOPEN_NO_COOKIE": ("fast_open_cookies", lambda value: not value),
}
# Socket options: their names and values in the stack.
CONFIGURED: Final[dict[str, tuple[str, Callable[[int], Any]]]] = {
    "TCP_NODELAY": ("nodelay", bool),
    "TCP_CORK": ("cork", bool),
    "TCP_MAXSEG": ("mss", int),
    "SO_SNDBUF": ("send_buffer", lambda value: 2 * value),
    "SO_RCVBUF": ("receive_buffer", int),  # Linux doubles it for the overhead of buffers
    "SO_KEEPALIVE": ("keepalive", bool),
    "TCP_KEEPIDLE": ("keepalive_idle_ns", lambda value: value * _S),
    "TCP_KEEPINTVL": ("keepalive_interval_ns", lambda value: value * _S),
    "TCP_KEEPCNT": ("keepalive_probes", int),
    "TCP_USER_TIMEOUT": ("user_timeout_ns", lambda value: value * _MS),
    "TCP_NOTSENT_LOWAT": ("notsent_lowat", int),
    "SO_LINGER": ("linger", lambda seconds: seconds >= 0),
    "IP_TOS": ("traffic_class", lambda value: value & ~_ECN),
    "IPV6_TCLASS": ("traffic_class", lambda value: value & ~_ECN),
    "IP_TTL": ("hop_limit", int),
    "IPV6_UNICAST_HOPS": ("hop_limit", int),
}
_ECN: Final = 3  # bits that only TCP sets
_OF_LINUX: Final = TcpConfig()
DEFAULTS: Final = {
    "IP_TTL": HOP_LIMIT,
    "IPV6_UNICAST_HOPS": HOP_LIMIT,
    "TCP_MAXSEG": 536,  # of RFC 9293, until the peer has sent its own
    "TCP_KEEPIDLE": _OF_LINUX.keepalive_idle_ns // _S,
    "TCP_KEEPINTVL": _OF_LINUX.keepalive_interval_ns // _S,
    "TCP_KEEPCNT": _OF_LINUX.keepalive_probes,
}


def option(name: str, value: int) -> SocketOptions:
    """Return an option of the stack for the option of a socket."""
    field, read = CONFIGURED[name]
    seconds = max(0, value) if name == "SO_LINGER" else None
    time = None if seconds is None else seconds * _S
    return SocketOptions(**{field: read(value)}, linger_ns=time)
