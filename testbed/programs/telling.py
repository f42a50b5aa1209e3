"""getsockopt(2): values from the options and the connection of a program's socket."""

from __future__ import annotations

import struct
from typing import Any, Final

from testbed import sockinfo
from testbed.programs import options
from testbed.programs.sockets import Phase, Socket

_INT: Final = struct.Struct("=i")
_ULP: Final = b"mptcp".ljust(16, b"\0")  # TCP_ULP_NAME_MAX; the name that Linux returns
_LISTENS, _CLOSED = 10, 7  # include/net/tcp_states.h


def told(sock: Socket, key: options.Key, congestion: str) -> bytes:
    """Return the value of an option.

    :param congestion: the stack's congestion control, for a program that has not chosen one.
    :raises OSError: ENOPROTOOPT, EOPNOTSUPP: the socket does not have the option.
    """
    view = _view(sock)
    match key:
        case options.ERROR:
            return _INT.pack(sock.take_error())
        case options.DOMAIN | options.PROTOCOL | options.IP_OPTIONS | options.ULP:
            return _of_kind(sock)[key]
        case options.TCP_INFO:
            return sockinfo.encode_tcp_info(_of_tcp(view) or {"state": _state(sock)})
        case options.IS_MPTCP:
            return _INT.pack(int("subflows" in view and not view["fallback"]))
        case options.MPTCP_INFO if "info" in view:
            return sockinfo.encode_mptcp_info(view["info"])
        case options.MAXSEG if view:
            return _INT.pack(_of_tcp(view).get("snd_mss", 0))
        case options.CONGESTION:
            return sock.options.congestion(congestion)
    return sock.options.get(key)


def _of_kind(sock: Socket) -> dict[options.Key, bytes]:
    """Return the options that are fixed when a socket is created."""
    return {
        options.DOMAIN: _INT.pack(sock.family),
        options.PROTOCOL: _INT.pack(sock.protocol),
        options.IP_OPTIONS: b"",
        options.ULP: _ULP if sock.protocol == sockinfo.IPPROTO_MPTCP else b"",
    }


def _view(sock: Socket) -> dict[str, Any]:
    connection = sock.relay.connection if sock.relay is not None else None
    return {} if connection is None else connection.info()


def _of_tcp(view: dict[str, Any]) -> dict[str, Any]:
    """Return TCP_INFO of a connection; for MPTCP, that of the first subflow."""
    if "subflows" not in view:
        return view
    there = view["subflows"] or view["ended"]
    return there[0]["tcp"] if there else {}


def _state(sock: Socket) -> int:
    return _LISTENS if sock.phase is Phase.LISTENING else _CLOSED
