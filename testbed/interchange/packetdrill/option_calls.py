"""System calls on socket options, descriptor flags and events."""

from __future__ import annotations

import errno
from typing import Final

from testbed.interchange.packetdrill.frame import Frame, Returned
from testbed.interchange.packetdrill.model import (
    Fields,
    Items,
    UnsupportedError,
    Value,
    Word,
)
from testbed.interchange.packetdrill.socket_options import CONFIGURED, DEFAULTS
from testbed.interchange.packetdrill.sockets import PORT, Socket, WouldBlock, readable
from testbed.packet.address import Address
from testbed.stack.tcp.siphash import KEY

_NONBLOCK: Final = 0o4000
_RDWR: Final = 2
# Options without an effect here: one process has all ports, and no socket is bound to a device.
_WITHOUT_EFFECT: Final = frozenset(
    {"SO_REUSEADDR", "SO_REUSEPORT", "IP_FREEBIND", "SO_PRIORITY", "TCP_QUICKACK"}
)
_DOUBLED: Final = frozenset({"SO_SNDBUF", "SO_RCVBUF"})  # Linux reports the doubled value
_BEFORE_OPENING: Final = frozenset({"TCP_FASTOPEN_CONNECT", "TCP_FASTOPEN_NO_COOKIE"})
_KEPT: Final = _WITHOUT_EFFECT | _BEFORE_OPENING | {"TCP_FASTOPEN", "TCP_SYNCNT"}


def _option(frame: Frame) -> str:
    value = frame.argument(2)
    if not isinstance(value, Word):
        raise UnsupportedError("options of sockets by number")
    return value.names[0]


def setsockopt(frame: Frame) -> Returned:
    """Set an option."""
    name, sock = _option(frame), frame.socket()
    value = frame.argument(3)
    if name == "TCP_FASTOPEN_KEY":
        sock.cookie_keys = _keys(value)
    elif name == "SO_LINGER" and isinstance(value, Fields):
        sock.set_option(name, _linger(value))
    elif name in _WITHOUT_EFFECT:
        sock.options[name] = frame.number(3)
    elif name in _BEFORE_OPENING:
        _open_fast(frame, sock, name)
    elif name == "TCP_FASTOPEN":
        _allow_data_on_syn(frame, sock)
    elif name == "TCP_MAXSEG" and sock.connection is not None:
        pass  # Linux uses it for the handshake
    elif name in CONFIGURED:
        sock.set_option(name, frame.number(3))
    elif name == "TCP_SYNCNT":
        if sock.connection is not None:
            raise UnsupportedError(f"{name} of a connection that has begun")
        sock.options[name] = frame.number(3)
    else:
        raise UnsupportedError(f"the socket option {name}")
    return Returned(0)


def _open_fast(frame: Frame, sock: Socket, name: str) -> None:
    if sock.connection is not None:
        raise OSError(errno.EINVAL, "")
    if name == "TCP_FASTOPEN_CONNECT" and not frame.world.settings.opens_fast:
        raise OSError(errno.EOPNOTSUPP, "")
    sock.options[name] = frame.number(3)


def _allow_data_on_syn(frame: Frame, sock: Socket) -> None:
    """Set TCP_FASTOPEN, before or after the port is opened."""
    world = frame.world
    sock.options["TCP_FASTOPEN"] = frame.number(3)
    if sock.listens:
        config = sock.configured(world.settings.current)
        sock.listen(config, Address(world.local, PORT))


def _keys(value: Value) -> tuple[bytes, ...]:
    """Return the keys of cookies: the octets of a text, 16 for each of one or two keys."""
    octets = value.encode() if isinstance(value, str) else b""
    if len(octets) not in (KEY, 2 * KEY):
        raise OSError(errno.EINVAL, "")
    return tuple(octets[at : at + KEY] for at in range(0, len(octets), KEY))


def _linger(value: Fields) -> int:
    on, seconds = value.get("onoff"), value.get("linger")
    return int(seconds) if on and isinstance(seconds, int) else -1


def getsockopt(frame: Frame) -> Returned:
    """Get an option."""
    name, sock = _option(frame), frame.socket()
    if name == "TCP_FASTOPEN_KEY":
        return Returned(0, said={3: b"".join(sock.cookie_keys).decode()})
    if name == "SO_ERROR":
        number = sock.take_error()
    elif name == "TCP_IS_MPTCP":
        number = int(sock.speaks_mptcp)
    elif name in CONFIGURED or name in _KEPT:
        number = sock.options.get(name, DEFAULTS.get(name, 0)) * (1 + (name in _DOUBLED))
    else:
        raise UnsupportedError(f"the socket option {name}")
    return Returned(0, said={3: number})


def fcntl(frame: Frame) -> Returned:
    """Get or set O_NONBLOCK."""
    sock, command = frame.socket(), frame.names(1)
    if command == {"F_GETFL"}:
        return Returned(_RDWR | (_NONBLOCK if sock.nonblocking else 0))
    if command != {"F_SETFL"}:
        raise UnsupportedError(f"fcntl {', '.join(command)}")
    sock.block(not_at_all="O_NONBLOCK" in frame.names(2))
    return Returned(0)


def ioctl(frame: Frame) -> Returned:
    """Get the number of unread or of unacknowledged octets."""
    request = frame.names(1)
    connection = frame.socket().connection
    if connection is None or not request & {"SIOCINQ", "FIONREAD", "SIOCOUTQ"}:
        raise UnsupportedError(f"ioctl {', '.join(request)}")
    octets = connection.unsent if "SIOCOUTQ" in request else readable(connection)
    return Returned(0, said={2: octets})


def poll(frame: Frame) -> Returned:
    """Return the events of sockets. Wait if there are none and the time-out is not 0."""
    entries = frame.argument(0)
    if not isinstance(entries, Items):
        raise frame.wrong("poll takes [{fd=3, events=POLLIN, revents=0}]")
    found: list[frozenset[str]] = []
    for entry in entries.items:
        assert isinstance(entry, Fields)  # noqa: S101 - packetdrill's grammar
        number, events = entry.get("fd"), entry.get("events")
        wanted = set(events.names) if isinstance(events, Word) else set()
        sock = frame.world.sockets[number] if isinstance(number, int) else frame.socket()
        found.append(frozenset(sock.ready() & (wanted | {"POLLHUP", "POLLERR"})))
    ready = sum(map(bool, found))
    if not ready and frame.number(2):
        raise WouldBlock
    return Returned(ready, said={0: tuple(found)})
