"""Options of the programs' sockets: setsockopt(2) and getsockopt(2) over the stack.

Names and values are those of socket(7), tcp(7), ip(7), ipv6(7) and ``linux/mptcp.h``.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable
from typing import Any, Final

from testbed.stack.options import SocketOptions
from testbed.stack.tcp.congestion import CONTROLS

Key = tuple[int, int]  # level, name

SOL_MPTCP: Final = 284
_INT: Final = struct.Struct("=i")
_LINGER: Final = struct.Struct("=ii")
_SECOND: Final = 1_000_000_000
_UNSIGNED: Final = 0xFFFF_FFFF
_MILLISECOND: Final = 1_000_000
_NAME: Final = 16  # TCP_CA_NAME_MAX

LINGER: Final = (socket.SOL_SOCKET, socket.SO_LINGER)
ERROR: Final = (socket.SOL_SOCKET, socket.SO_ERROR)
DOMAIN: Final = (socket.SOL_SOCKET, socket.SO_DOMAIN)
PROTOCOL: Final = (socket.SOL_SOCKET, socket.SO_PROTOCOL)
REUSEADDR: Final = (socket.SOL_SOCKET, socket.SO_REUSEADDR)
REUSEPORT: Final = (socket.SOL_SOCKET, socket.SO_REUSEPORT)
V6ONLY: Final = (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
CONGESTION: Final = (socket.IPPROTO_TCP, socket.TCP_CONGESTION)
MAXSEG: Final = (socket.IPPROTO_TCP, socket.TCP_MAXSEG)
TCP_INFO: Final = (socket.IPPROTO_TCP, socket.TCP_INFO)
IS_MPTCP: Final = (socket.IPPROTO_TCP, 43)
ULP: Final = (socket.IPPROTO_TCP, 31)
MPTCP_INFO: Final = (SOL_MPTCP, 1)
IP_OPTIONS: Final = (socket.IPPROTO_IP, socket.IP_OPTIONS)
NO_PORT: Final = (socket.IPPROTO_IP, 24)  # IP_BIND_ADDRESS_NO_PORT
_TTL: Final = (socket.IPPROTO_IP, socket.IP_TTL)

# Options with an effect on the stack: the field of SocketOptions, and the conversion of the value.
_OF_STACK: Final[dict[Key, tuple[str, Callable[[int], Any]]]] = {
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE): ("keepalive", bool),
    (socket.SOL_SOCKET, socket.SO_SNDBUF): ("send_buffer", int),
    (socket.SOL_SOCKET, socket.SO_RCVBUF): ("receive_buffer", int),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY): ("nodelay", bool),
    (socket.IPPROTO_TCP, socket.TCP_CORK): ("cork", bool),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE): ("keepalive_idle_ns", lambda it: it * _SECOND),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL): ("keepalive_interval_ns", lambda it: it * _SECOND),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT): ("keepalive_probes", int),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT): (
        "user_timeout_ns",
        lambda it: it * _MILLISECOND,
    ),
    (socket.IPPROTO_TCP, 25): ("notsent_lowat", int),  # TCP_NOTSENT_LOWAT
    MAXSEG: ("mss", int),
    (socket.IPPROTO_IP, socket.IP_TOS): ("traffic_class", lambda it: it & 0xFF),
    _TTL: ("hop_limit", int),
    (socket.IPPROTO_IPV6, socket.IPV6_TCLASS): ("traffic_class", lambda it: it & 0xFF),
    (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS): ("hop_limit", int),
}
# Values before any setsockopt(2). Those of buffers are not the sizes that the stack uses.
_DEFAULTS: Final = {
    (socket.SOL_SOCKET, socket.SO_SNDBUF): 16 * 1024,
    (socket.SOL_SOCKET, socket.SO_RCVBUF): 128 * 1024,
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE): 7200,
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL): 75,
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT): 9,
    (socket.IPPROTO_TCP, socket.TCP_SYNCNT): 6,
    (socket.IPPROTO_TCP, socket.TCP_LINGER2): 60,
    (socket.IPPROTO_TCP, socket.TCP_QUICKACK): 1,
    MAXSEG: 536,
    _TTL: 64,
    (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS): 64,
    (socket.IPPROTO_IP, 10): 1,  # IP_MTU_DISCOVER: IP_PMTUDISC_WANT
    (socket.IPPROTO_IPV6, 23): 1,  # IPV6_MTU_DISCOVER
    (socket.IPPROTO_IP, socket.IP_MULTICAST_TTL): 1,
    (socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP): 1,
    (socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS): 1,
    (socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP): 1,
}
# Options that are stored and returned, and have no effect.
_KEPT: Final = frozenset(
    {
        REUSEADDR,
        REUSEPORT,
        V6ONLY,
        NO_PORT,
        (socket.IPPROTO_TCP, socket.TCP_QUICKACK),
        (socket.IPPROTO_TCP, socket.TCP_SYNCNT),
        (socket.IPPROTO_TCP, socket.TCP_LINGER2),
        (socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT),
        (socket.IPPROTO_TCP, socket.TCP_WINDOW_CLAMP),
        (socket.IPPROTO_TCP, socket.TCP_FASTOPEN),
        (socket.IPPROTO_TCP, 27),  # TCP_SAVE_SYN
        (socket.IPPROTO_TCP, 30),  # TCP_FASTOPEN_CONNECT
        (socket.IPPROTO_IP, 6),  # IP_RECVOPTS
        (socket.IPPROTO_IP, 8),  # IP_PKTINFO
        (socket.IPPROTO_IP, 10),  # IP_MTU_DISCOVER
        (socket.IPPROTO_IP, 11),  # IP_RECVERR
        (socket.IPPROTO_IP, 12),  # IP_RECVTTL
        (socket.IPPROTO_IP, 13),  # IP_RECVTOS
        (socket.IPPROTO_IP, 15),  # IP_FREEBIND
        (socket.IPPROTO_IP, socket.IP_MULTICAST_TTL),
        (socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP),
        (socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS),
        (socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP),
        (socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO),
        (socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT),
        (socket.IPPROTO_IPV6, socket.IPV6_DONTFRAG),
        (socket.IPPROTO_IPV6, 23),  # IPV6_MTU_DISCOVER
        (socket.IPPROTO_IPV6, 25),  # IPV6_RECVERR
        (socket.IPPROTO_IPV6, 66),  # IPV6_RECVTCLASS
        (socket.IPPROTO_IPV6, 70),  # IPV6_AUTOFLOWLABEL
        (socket.IPPROTO_IPV6, 33),  # IPV6_FLOWINFO_SEND
    }
)
# Options that can be read, but not set.
_FIXED: Final = {
    (socket.SOL_SOCKET, socket.SO_DEBUG): _INT.pack(0),
    (socket.SOL_SOCKET, 19): _INT.pack(1),  # SO_SNDLOWAT
    (socket.SOL_SOCKET, socket.SO_BINDTODEVICE): b"",
    (socket.SOL_SOCKET, 29): _INT.pack(0),  # SO_TIMESTAMP
    (socket.SOL_SOCKET, 35): _INT.pack(0),  # SO_TIMESTAMPNS
}
# Options of SOL_SOCKET with the same meaning for a Unix socket: the kernel handles them.
_NATIVE: Final = frozenset(
    {
        socket.SO_TYPE,
        socket.SO_ACCEPTCONN,
        socket.SO_RCVTIMEO,
        socket.SO_SNDTIMEO,
        socket.SO_RCVLOWAT,
        socket.SO_PRIORITY,
        socket.SO_MARK,
        socket.SO_BROADCAST,
        socket.SO_OOBINLINE,
        socket.SO_DONTROUTE,
        42,  # SO_PEEK_OFF
        46,  # SO_BUSY_POLL
        47,  # SO_MAX_PACING_RATE
        49,  # SO_INCOMING_CPU
        56,  # SO_INCOMING_NAPI_ID
        57,  # SO_COOKIE
    }
)


def is_native(key: Key) -> bool:
    """Return whether the kernel handles an option, on the Unix socket in the program."""
    level, name = key
    return level == socket.SOL_SOCKET and name in _NATIVE


class Options:
    """The options that a program set on a socket."""

    def __init__(self) -> None:
        self._values: dict[Key, int] = {}
        self._congestion: str | None = None
        self.linger_s: int | None = None

    def copy(self) -> Options:
        """Return the initial options of an accepted socket."""
        other = Options()
        other._values = dict(self._values)
        other._congestion = self._congestion
        other.linger_s = self.linger_s
        return other

    def flag(self, key: Key) -> bool:
        """Return whether an option is on."""
        return bool(self._values.get(key))

    @property
    def resets(self) -> bool:
        """Whether close(2) sends RST: SO_LINGER with a time of 0."""
        return self.linger_s == 0

    def set(self, key: Key, data: bytes) -> SocketOptions | None:
        """Store a value; return the change for the stack, if there is one.

        :raises OSError: EINVAL: the value is invalid; ENOENT: the congestion control is unknown;
            ENOPROTOOPT: the option is unknown.
        """
        if key == LINGER:
            if len(data) < _LINGER.size:
                raise _error(errno.EINVAL)
            on, seconds = _LINGER.unpack_from(data)
            self.linger_s = seconds if on else None
            return self._lingering
        if key == CONGESTION:
            if not data:
                raise _error(errno.EINVAL)
            name = data.split(b"\0")[0].decode(errors="replace")
            if name not in CONTROLS.own():
                raise _error(errno.ENOENT)
            self._congestion = name
            return SocketOptions(congestion=name)
        if key[0] in _WHOLE and len(data) < _INT.size:  # before it checks the name
            raise _error(errno.EINVAL)
        if key not in _OF_STACK and key not in _KEPT:
            raise _error(errno.ENOPROTOOPT)
        value = _number(key, data)
        if key in _LEAST:
            value = _buffer(key, value)
        changed = self._of_stack(key, value)
        try:
            changed.check()
        except ValueError:
            raise _error(errno.EINVAL) from None
        self._values[key] = value
        return changed

    def get(self, key: Key) -> bytes:
        """Return the stored value of an option, or the default.

        :raises OSError: ENOPROTOOPT: the option is unknown.
        """
        if key in _FIXED:
            return _FIXED[key]
        if key == LINGER:
            return _LINGER.pack(self.linger_s is not None, self.linger_s or 0)
        if key not in _OF_STACK and key not in _KEPT:
            raise _error(errno.ENOPROTOOPT)
        value = self._values.get(key, _DEFAULTS.get(key, 0))
        if key in _LEAST and key in self._values:
            value *= 2  # socket(7): the value that the kernel returns
        return _INT.pack(value)

    def congestion(self, usual: str) -> bytes:
        """Return TCP_CONGESTION: the stored name, or the name of the stack's default."""
        return (self._congestion or usual).encode().ljust(_NAME, b"\0")

    @property
    def of_stack(self) -> SocketOptions:
        """All options with an effect on the stack."""
        found = SocketOptions(congestion=self._congestion)
        if self.linger_s is not None:
            found = found.changed_by(self._lingering)
        for key, value in self._values.items():
            found = found.changed_by(self._of_stack(key, value))
        return found

    @property
    def _lingering(self) -> SocketOptions:
        """Return SO_LINGER for the stack. Linux treats a negative time as a very long one."""
        seconds = (self.linger_s or 0) & _UNSIGNED
        return SocketOptions(linger=self.linger_s is not None, linger_ns=seconds * _SECOND)

    def _of_stack(self, key: Key, value: int) -> SocketOptions:
        if key not in _OF_STACK:
            return SocketOptions()
        name, told = _OF_STACK[key]
        if name == "hop_limit" and value < 0:  # ip(7): -1 is the default
            return SocketOptions()
        return SocketOptions(**{name: told(value)})


# Half of SOCK_MIN_SNDBUF and SOCK_MIN_RCVBUF (include/net/sock.h): Linux doubles the value.
_LEAST: Final = {
    (socket.SOL_SOCKET, socket.SO_SNDBUF): 2304,
    (socket.SOL_SOCKET, socket.SO_RCVBUF): 1152,
}
_LARGEST: Final = 4 * 2**20  # net.core.wmem_max and rmem_max of recent kernels


def _buffer(key: Key, octets: int) -> int:
    """Return the size that Linux sets for a buffer. A negative size means the maximum."""
    return max(octets, _LEAST[key]) if octets >= 0 else _LARGEST


_WHOLE: Final = (socket.SOL_SOCKET, socket.IPPROTO_TCP)  # levels without values of one octet


def _number(key: Key, data: bytes) -> int:
    level, _ = key
    if len(data) >= _INT.size:
        value: int = _INT.unpack_from(data)[0]
        return value
    if level == socket.IPPROTO_IP and (data or key != _TTL):  # ip(7): one octet is enough
        return data[0] if data else 0
    raise _error(errno.EINVAL)


def fitting(key: Key, value: bytes, room: int) -> bytes:
    """Return the part of a value that getsockopt(2) writes to a buffer of a size.

    :raises OSError: EINVAL: the size is negative.
    """
    if room < 0:
        raise _error(errno.EINVAL)
    small = len(value) == _INT.size and value[1:] == bytes(3)
    if key[0] == socket.IPPROTO_IP and 0 < room < _INT.size and small:
        return value[:1]  # do_ip_getsockopt: one octet is enough
    return value[:room]


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
