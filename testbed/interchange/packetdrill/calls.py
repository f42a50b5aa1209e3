"""The implementation of the system calls of scripts.

A call is a function of a :class:`Frame`. It returns the result that the script can check.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Final

from testbed.interchange.packetdrill.epoll import epoll_create, epoll_ctl, epoll_wait
from testbed.interchange.packetdrill.frame import Frame, Returned
from testbed.interchange.packetdrill.model import (
    Anything,
    Call,
    Fields,
    Items,
    UnsupportedError,
    Value,
    Word,
)
from testbed.interchange.packetdrill.notation import of_value
from testbed.interchange.packetdrill.option_calls import fcntl, getsockopt, ioctl, poll, setsockopt
from testbed.interchange.packetdrill.pipes import Pipe
from testbed.interchange.packetdrill.sockets import PORT, Socket, readable
from testbed.packet.address import Address
from testbed.stack.mptcp.config import MptcpConfig


def attempt(frame: Frame) -> Returned | None:
    """Run a call. Return ``None`` if it waits.

    :raises UnsupportedError: the call, or a part of it, is not supported.
    """
    run = _CALLS.get(frame.call.name)
    if run is None:
        raise UnsupportedError(f"the system call {frame.call.name}", frame.call.line)
    return frame.attempt(run)


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
    return sock.configured(frame.world.settings.current)


def _accept(frame: Frame) -> Returned:
    accepted = frame.socket().accept()
    number = frame.call.result
    if not isinstance(number, int) or number < 0:
        return Returned(max(frame.world.sockets) + 1)
    frame.world.sockets[number] = accepted
    return Returned(number)


def _connect(frame: Frame) -> Returned:
    family = frame.argument(1)
    sock, world = frame.socket(), frame.world
    config, remote = _config(frame, sock), Address(world.remote, PORT)
    if isinstance(family, Word) and family.names not in (("AF_INET",), ("AF_INET6",)):
        if sock.speaks_mptcp:
            world.host.refused(config, remote.host)
        return Returned(-1, "EAFNOSUPPORT")
    _own_address(frame, 1)
    sock.connect(config, world.local, remote)
    return Returned(0)


def _close(frame: Frame) -> Returned:
    world, number = frame.world, frame.number(0)
    if world.pipes.pop(number, None) is None and world.watched.pop(number, None) is None:
        frame.socket().close()
        del world.sockets[number]
        for one in world.watched.values():
            one.pop(number, None)
    return Returned(0)


def _shutdown(frame: Frame) -> Returned:
    if not frame.names(1) & {"SHUT_WR", "SHUT_RDWR"}:
        raise UnsupportedError("SHUT_RD")
    frame.socket().shutdown()
    return Returned(0)


# Data


def _read(frame: Frame) -> Returned:
    pipe = frame.world.pipes.get(frame.number(0))
    if pipe is not None:
        frame.memory(1)
        return Returned(pipe.read(frame.number(2)))
    return _receive(frame)


def _recv(frame: Frame) -> Returned:
    return _receive(frame, frame.message_flags(3))


def _receive(frame: Frame, flags: frozenset[str] = frozenset()) -> Returned:
    sock = frame.socket()
    if sock.connection is not None and readable(sock.connection):
        frame.memory(1)
    return Returned(sock.read(frame.number(2), flags))


def _recvmsg(frame: Frame) -> Returned:
    flags = frame.message_flags(2)
    return Returned(frame.socket().read(_octets(frame), flags))


def _write(frame: Frame, *, eor: bool = False) -> Returned:
    frame.memory(1)
    return Returned(frame.socket().write(frame.number(2), frame.taken, eor=eor))


def _send(frame: Frame) -> Returned:
    frame.memory(1)
    flags, sock = frame.message_flags(3), frame.socket()
    if "MSG_OOB" in flags:
        return Returned(sock.write_urgent(frame.number(2)))
    if "MSG_FASTOPEN" in flags and sock.dialing and sock.nonblocking:
        raise OSError(errno.EALREADY, "")
    if "MSG_FASTOPEN" in flags and sock.connection is None:
        if not frame.world.settings.opens_fast:
            raise OSError(errno.EOPNOTSUPP, "")
        _own_address(frame, 4)
        sock.options["MSG_FASTOPEN"] = 1
        remote = Address(frame.world.remote, PORT)
        config, wait = _config(frame, sock), "MSG_DONTWAIT" not in flags
        octets = frame.number(2)
        return Returned(sock.send_fast(config, frame.world.local, remote, octets, wait=wait))
    return _write(frame, eor="MSG_EOR" in flags)


def _sendmsg(frame: Frame) -> Returned:
    eor = "MSG_EOR" in frame.message_flags(2)
    return Returned(frame.socket().write(_octets(frame), frame.taken, eor=eor))


def _writev(frame: Frame) -> Returned:
    return Returned(frame.socket().write(_total(frame.argument(1)), frame.taken))


def _pipe(frame: Frame) -> Returned:
    ends = frame.argument(0)
    if not isinstance(ends, Items) or len(ends.items) != 2:
        raise frame.wrong("pipe takes [5, 6]")
    pipe = Pipe()
    for end in ends.items:
        if isinstance(end, int):
            frame.world.pipes[end] = pipe
    return Returned(0)


def _splice(frame: Frame) -> Returned:
    """Move the received octets of a socket into a pipe."""
    pipe = frame.world.pipes.get(frame.number(2))
    if pipe is None:
        raise UnsupportedError("splice to anything but a pipe")
    octets = frame.socket().read(frame.number(4))
    pipe.fill(octets)
    return Returned(octets)


def _octets(frame: Frame) -> int:
    """Return the total size of a message's parts in octets."""
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
    "pipe": _pipe,
    "splice": _splice,
    "setsockopt": setsockopt,
    "getsockopt": getsockopt,
    "fcntl": fcntl,
    "ioctl": ioctl,
    "poll": poll,
    "epoll_create": epoll_create,
    "epoll_ctl": epoll_ctl,
    "epoll_wait": epoll_wait,
}


def differs(call: Call, got: Returned) -> str | None:
    """Return the expected part that a call's result differs in, or ``None`` if none differs."""
    wanted = call.result
    if isinstance(wanted, int) and wanted != got.value:
        return f"{wanted} {call.errno}".rstrip()
    if call.errno and call.errno != got.errno:
        return f"-1 {call.errno}"
    for at, said in got.said.items():
        if not _agrees(call.arguments[at], said):
            return f"value {at + 1}: {of_value(call.arguments[at])}"
    return None


def _agrees(wanted: Value, said: object) -> bool:
    """Return whether the output of a call is as the script expects."""
    if isinstance(said, str):
        return isinstance(wanted, Anything) or wanted == said
    if isinstance(said, int):
        numbers = wanted.items if isinstance(wanted, Items) else (wanted,)
        return isinstance(wanted, Anything) or said in [_as_number(one) for one in numbers]
    assert isinstance(said, tuple)  # noqa: S101 - of poll
    if isinstance(wanted, Fields):  # the events of epoll_wait
        events, number = wanted.get("events"), wanted.get("fd")
        names = frozenset(events.names if isinstance(events, Word) else ())
        return names == said[1] and number in (None, said[0])
    entries = wanted.items if isinstance(wanted, Items) else ()
    return all(
        frozenset(events.names if isinstance(events, Word) else ()) == found
        for events, found in zip((one.get("revents") for one in entries if isinstance(one, Fields)),
                                 said, strict=True)
    )  # fmt: skip


def _as_number(value: Value) -> int | None:
    """Return a number. Constants have the values of this platform."""
    if isinstance(value, int):
        return value
    if isinstance(value, Word):
        number = getattr(errno, value.names[0], getattr(socket, value.names[0], None))
        return number if isinstance(number, int) else None
    return None
