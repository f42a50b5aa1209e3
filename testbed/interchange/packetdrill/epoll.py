"""Sets of watched sockets, as in epoll(7)."""

from __future__ import annotations

import errno
from typing import Final

from testbed.interchange.packetdrill.frame import Frame, Returned
from testbed.interchange.packetdrill.model import Fields, UnsupportedError, Word
from testbed.interchange.packetdrill.sockets import WouldBlock

_EVENTS: Final = frozenset(
    {"EPOLLIN", "EPOLLOUT", "EPOLLRDHUP", "EPOLLERR", "EPOLLHUP", "EPOLLONESHOT"}
)
_ALWAYS: Final = frozenset({"EPOLLERR", "EPOLLHUP"})


def epoll_create(frame: Frame) -> Returned:
    """Create an empty set."""
    number = frame.call.result
    if not isinstance(number, int) or number < 0:
        raise frame.wrong("a set of sockets gets a descriptor")
    frame.world.watched[number] = {}
    return Returned(number)


def epoll_ctl(frame: Frame) -> Returned:
    """Add a socket, change its events, or remove it."""
    watched, number = _watched(frame), frame.number(2)
    frame.socket(2)
    (command,) = frame.names(1) or {""}
    known = number in watched
    if command == "EPOLL_CTL_ADD" and known:
        raise OSError(errno.EEXIST, "")
    if command in ("EPOLL_CTL_MOD", "EPOLL_CTL_DEL") and not known:
        raise OSError(errno.ENOENT, "")
    if command == "EPOLL_CTL_DEL":
        del watched[number]
    elif command in ("EPOLL_CTL_ADD", "EPOLL_CTL_MOD"):
        watched[number] = _wanted(frame)
    else:
        raise UnsupportedError(f"epoll_ctl {command}")
    return Returned(0)


def _wanted(frame: Frame) -> frozenset[str]:
    said = frame.argument(3)
    events = said.get("events") if isinstance(said, Fields) else None
    if events == 0:
        return frozenset()
    if not isinstance(events, Word):
        raise frame.wrong("epoll_ctl takes {events=EPOLLIN, fd=3}")
    found = frozenset(events.names)
    if unknown := found - _EVENTS:
        raise UnsupportedError(", ".join(sorted(unknown)))
    return found


def epoll_wait(frame: Frame) -> Returned:
    """Return an event. Wait if no socket has one and the time-out is not 0."""
    watched = _watched(frame)
    ready: list[tuple[int, frozenset[str]]] = []
    for number, wanted in watched.items():
        sock = frame.world.sockets.get(number)  # a closed socket is no longer watched
        events = {f"E{name}" for name in sock.ready()} if sock is not None and wanted else set()
        if found := frozenset(events & (wanted | _ALWAYS)):
            ready.append((number, found))
    if not ready:
        if frame.number(3):
            raise WouldBlock
        return Returned(0)
    if len(ready) > 1 and frame.number(2) > 1:
        raise UnsupportedError("epoll_wait for several sockets")
    number, found = ready[0]
    if "EPOLLONESHOT" in watched[number]:
        watched[number] = frozenset()
    watched[number] = watched.pop(number)  # as in Linux, the other sockets are first the next time
    return Returned(1, said={1: (number, found)})


def _watched(frame: Frame) -> dict[int, frozenset[str]]:
    found = frame.world.watched.get(frame.number(0))
    if found is None:
        raise OSError(errno.EBADF, "")
    return found
