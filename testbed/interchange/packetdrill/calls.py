"""The system calls of scripts.

A call is a function of a :class:`Frame`; it returns what the script can look at.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from testbed.errors import InputError
from testbed.interchange.packetdrill.host import Host
from testbed.interchange.packetdrill.model import (
    Anything,
    Call,
    Fields,
    Items,
    UnsupportedError,
    Value,
    Word,
)
from testbed.interchange.packetdrill.settings import Settings
from testbed.interchange.packetdrill.sockets import (
    CONFIGURED,
    PORT,
    Socket,
    WouldBlock,
    readable,
    taken_before,
    with_options,
)
from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.packet.address import Address

_NONBLOCK: Final = 0o4000
_RDWR: Final = 2
# Options that make no difference here: one process has all ports, and no device is bound to.
_WITHOUT_EFFECT: Final = frozenset(
    {"SO_REUSEADDR", "SO_REUSEPORT", "IP_FREEBIND", "SO_PRIORITY", "TCP_QUICKACK"}
)
_MESSAGE_FLAGS: Final = frozenset({"MSG_NOSIGNAL", "MSG_DONTWAIT", "MSG_OOB"})


class Returned(msgspec.Struct, frozen=True):
    """What a call has returned.

    :param errno: the name of the error, empty without one.
    :param said: what it has written to memory of the caller, by the number of the argument.
    """

    value: int
    errno: str = ""
    said: Mapping[int, object] = {}


class World(msgspec.Struct):
    """What calls act on.

    :param local: the host's address; ``remote`` is where it connects to.
    """

    host: Host
    settings: Settings
    local: str
    remote: str
    sockets: dict[int, Socket]

    def last(self) -> Socket | None:
        """Return the socket of the newest connection."""
        found = [one for one in self.sockets.values() if one.connection is not None]
        return found[-1] if found else None


class Frame:
    """One call that is being done.

    :ivar taken: octets that a write which waits has taken already.
    """

    def __init__(self, world: World, call: Call, file: str) -> None:
        self.world = world
        self.call = call
        self.taken = 0
        self._file = file

    def attempt(self) -> Returned | None:
        """Do the call; ``None``: it waits."""
        run = _CALLS.get(self.call.name)
        if run is None:
            raise UnsupportedError(f"the system call {self.call.name}", self.call.line)
        try:
            return run(self)
        except WouldBlock as waiting:
            self.taken = taken_before(waiting)
            return None
        except OSError as error:
            return Returned(-1, errno.errorcode[error.errno or errno.EIO])
        except UnsupportedError as error:
            raise UnsupportedError(error.message, self.call.line) from error

    # Arguments

    def argument(self, at: int) -> Value:
        """Return an argument.

        :raises InputError: there are too few.
        """
        if at >= len(self.call.arguments):
            raise self.wrong(f"{self.call.name} has too few values")
        return self.call.arguments[at]

    def number(self, at: int) -> int:
        """Return an argument that is a number."""
        value = self.argument(at)
        if isinstance(value, Items) and len(value.items) == 1:
            value = value.items[0]
        if not isinstance(value, int):
            raise self.wrong(f"value {at + 1} of {self.call.name} is not a number")
        return value

    def names(self, at: int) -> frozenset[str]:
        """Return an argument that consists of constants; 0 are none."""
        value = self.argument(at)
        if isinstance(value, Word):
            return frozenset(value.names)
        if value == 0:
            return frozenset()
        raise UnsupportedError(f"value {at + 1} of {self.call.name} as a number")

    def socket(self, at: int = 0) -> Socket:
        """Return the socket of a descriptor."""
        found = self.world.sockets.get(self.number(at))
        if found is None:
            raise OSError(errno.EBADF, "")
        return found

    def memory(self, at: int) -> None:
        """Look at a pointer to data.

        :raises UnsupportedError: it is NULL: nothing here has memory of a process.
        """
        if self.argument(at) == Word(("NULL",)):
            raise UnsupportedError("pointers that are not valid")

    def message_flags(self, at: int) -> frozenset[str]:
        """Return the flags of a call with data."""
        flags = self.names(at)
        if unknown := flags - _MESSAGE_FLAGS:
            raise UnsupportedError(", ".join(sorted(unknown)))
        return flags

    def wrong(self, what: str) -> InputError:
        """Return the error of a call that is not written as it must be."""
        return InputError(what, file=self._file, line=self.call.line)


# Sockets


def _socket(frame: Frame) -> Returned:
    kind, protocol = frame.names(1), frame.names(2) or {"IPPROTO_TCP"}
    if "SOCK_STREAM" not in kind or not protocol & {"IPPROTO_TCP", "IPPROTO_MPTCP"}:
        raise UnsupportedError(f"sockets of {', '.join(sorted(kind | protocol))}")
    number = frame.call.result
    if not isinstance(number, int) or number < 0:
        raise frame.wrong("a socket gets a descriptor")
    frame.world.sockets[number] = Socket(
        frame.world.host,
        mptcp="IPPROTO_MPTCP" in protocol,
        nonblocking="SOCK_NONBLOCK" in kind,
    )
    return Returned(number)


def _bind(frame: Frame) -> Returned:
    _own_address(frame, 1)
    frame.socket().bind(Address(frame.world.local, PORT))
    return Returned(0)


def _own_address(frame: Frame, at: int) -> None:
    if not isinstance(frame.argument(at), Anything):
        raise UnsupportedError("addresses that a script chooses")


def _listen(frame: Frame) -> Returned:
    sock = frame.socket()
    sock.listen(_config(frame, sock), Address(frame.world.local, PORT))
    return Returned(0)


def _config(frame: Frame, sock: Socket) -> MptcpConfig:
    return with_options(frame.world.settings.current, sock.options)


def _accept(frame: Frame) -> Returned:
    accepted = frame.socket().accept()
    number = frame.call.result
    if not isinstance(number, int) or number < 0:
        return Returned(max(frame.world.sockets) + 1)
    frame.world.sockets[number] = accepted
    return Returned(number)


def _connect(frame: Frame) -> Returned:
    family = frame.argument(1)
    if isinstance(family, Word) and family.names not in (("AF_INET",), ("AF_INET6",)):
        return Returned(-1, "EAFNOSUPPORT")
    _own_address(frame, 1)
    sock = frame.socket()
    world = frame.world
    sock.connect(_config(frame, sock), world.local, Address(world.remote, PORT))
    return Returned(0)


def _close(frame: Frame) -> Returned:
    frame.socket().close()
    del frame.world.sockets[frame.number(0)]
    return Returned(0)


def _shutdown(frame: Frame) -> Returned:
    if not frame.names(1) & {"SHUT_WR", "SHUT_RDWR"}:
        raise UnsupportedError("SHUT_RD")
    frame.socket().shutdown()
    return Returned(0)


# Data


def _read(frame: Frame) -> Returned:
    frame.memory(1)
    return Returned(frame.socket().read(frame.number(2)))


def _recv(frame: Frame) -> Returned:
    frame.message_flags(3)
    return _read(frame)


def _recvmsg(frame: Frame) -> Returned:
    frame.message_flags(2)
    return Returned(frame.socket().read(_octets(frame)))


def _write(frame: Frame) -> Returned:
    frame.memory(1)
    return Returned(frame.socket().write(frame.number(2), frame.taken))


def _send(frame: Frame) -> Returned:
    frame.memory(1)
    if "MSG_OOB" in frame.message_flags(3):
        return Returned(frame.socket().write_urgent(frame.number(2)))
    return _write(frame)


def _sendmsg(frame: Frame) -> Returned:
    frame.message_flags(2)
    return Returned(frame.socket().write(_octets(frame), frame.taken))


def _writev(frame: Frame) -> Returned:
    return Returned(frame.socket().write(_total(frame.argument(1)), frame.taken))


def _octets(frame: Frame) -> int:
    """Return the octets of a message's parts."""
    message = frame.argument(1)
    if not isinstance(message, Fields):
        raise frame.wrong("a message is {msg_name(...)=..., msg_iov(1)=[{..., 10}], msg_flags=0}")
    if message.get("msg_control") is not None:
        raise UnsupportedError("control messages (msg_control)")
    return _total(message.get("msg_iov"))


def _total(parts: Value | None) -> int:
    if not isinstance(parts, Items):
        return 0
    lengths = [one.items[-1][1] for one in parts.items if isinstance(one, Fields)]
    return sum(one for one in lengths if isinstance(one, int))


# Options


def _option(frame: Frame) -> str:
    value = frame.argument(2)
    if not isinstance(value, Word):
        raise UnsupportedError("options of sockets by number")
    return value.names[0]


def _setsockopt(frame: Frame) -> Returned:
    name, sock = _option(frame), frame.socket()
    value = frame.argument(3)
    if name == "SO_LINGER" and isinstance(value, Fields):
        sock.options[name] = _linger(value)
    elif name in _WITHOUT_EFFECT:
        sock.options[name] = frame.number(3)
    elif name in CONFIGURED:
        number = frame.number(3)
        if sock.connection is not None and sock.options.get(name, 0) != number:
            raise UnsupportedError(f"{name} of a connection that has begun")
        sock.options[name] = number
    else:
        raise UnsupportedError(f"the socket option {name}")
    return Returned(0)


def _linger(value: Fields) -> int:
    on, seconds = value.get("onoff"), value.get("linger")
    return int(seconds) if on and isinstance(seconds, int) else -1


def _getsockopt(frame: Frame) -> Returned:
    name, sock = _option(frame), frame.socket()
    if name == "SO_ERROR":
        number = sock.take_error()
    elif name == "TCP_IS_MPTCP":
        number = int(sock.speaks_mptcp)
    elif name in CONFIGURED or name in _WITHOUT_EFFECT:
        number = sock.options.get(name, 0)
    else:
        raise UnsupportedError(f"the socket option {name}")
    return Returned(0, said={3: number})


def _fcntl(frame: Frame) -> Returned:
    sock, command = frame.socket(), frame.names(1)
    if command == {"F_GETFL"}:
        return Returned(_RDWR | (_NONBLOCK if sock.nonblocking else 0))
    if command != {"F_SETFL"}:
        raise UnsupportedError(f"fcntl {', '.join(command)}")
    sock.block(not_at_all="O_NONBLOCK" in frame.names(2))
    return Returned(0)


def _ioctl(frame: Frame) -> Returned:
    request = frame.names(1)
    connection = frame.socket().connection
    if connection is None or not request & {"SIOCINQ", "FIONREAD", "SIOCOUTQ"}:
        raise UnsupportedError(f"ioctl {', '.join(request)}")
    octets = connection.unsent if "SIOCOUTQ" in request else readable(connection)
    return Returned(0, said={2: octets})


def _poll(frame: Frame) -> Returned:
    """Look at sockets; it waits where the time-out is not 0 and nothing is there."""
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


_CALLS: Final[dict[str, Callable[[Frame], Returned]]] = {
    "socket": _socket,
    "bind": _bind,
    "listen": _listen,
    "accept": _accept,
    "connect": _connect,
    "close": _close,
    "shutdown": _shutdown,
    "read": _read,
    "recv": _recv,
    "recvfrom": _recv,
    "recvmsg": _recvmsg,
    "write": _write,
    "send": _send,
    "sendto": _send,
    "sendmsg": _sendmsg,
    "writev": _writev,
    "setsockopt": _setsockopt,
    "getsockopt": _getsockopt,
    "fcntl": _fcntl,
    "ioctl": _ioctl,
    "poll": _poll,
}


def differs(call: Call, got: Returned) -> str | None:
    """Return how a call's outcome differs from what the script says, ``None`` if it does not."""
    wanted = call.result
    if isinstance(wanted, int) and wanted != got.value:
        return f"{wanted}"
    if call.errno and call.errno != got.errno:
        return f"-1 {call.errno}"
    for at, said in got.said.items():
        if not _agrees(call.arguments[at], said):
            return f"value {at + 1}: {call.arguments[at]}"
    return None


def _agrees(wanted: Value, said: object) -> bool:
    """Compare what a call has written with what the script says of it."""
    if isinstance(said, int):
        numbers = wanted.items if isinstance(wanted, Items) else (wanted,)
        return isinstance(wanted, Anything) or said in [_as_number(one) for one in numbers]
    entries = wanted.items if isinstance(wanted, Items) else ()
    assert isinstance(said, tuple)  # noqa: S101 - of poll
    return all(
        frozenset(events.names if isinstance(events, Word) else ()) == found
        for events, found in zip((one.get("revents") for one in entries if isinstance(one, Fields)),
                                 said, strict=True)
    )  # fmt: skip


def _as_number(value: Value) -> int | None:
    """Return a number; constants are those of this platform."""
    if isinstance(value, int):
        return value
    if isinstance(value, Word):
        number = getattr(errno, value.names[0], getattr(socket, value.names[0], None))
        return number if isinstance(number, int) else None
    return None
