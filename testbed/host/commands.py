"""A Unix socket by which programs manage the paths of our MPTCP connections.

It corresponds to the generic netlink interface of the kernel's userspace path manager
(linux/mptcp_pm.h). Commands and events have the same names and fields, as JSON, one object on a
line. A program first receives events that describe the present connections. It sends commands and
receives an answer to each. All programs receive all events.

::

    > {"command": "subflow_create", "ref": 1, "token": 4711, "loc_id": 2, "saddr": "10.0.2.1",
       "daddr": "10.0.1.2", "dport": 5001}
    < {"ref": 1, "done": "subflow_create"}
    < {"event": "sub_established", "token": 4711, "loc_id": 2, "rem_id": 0, ...}

A program that does not read loses events, and receives their number. Its commands wait.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import socket
import struct
from collections.abc import Callable
from typing import Any, Final, cast

import msgspec

from testbed.host import requests
from testbed.stack.mptcp.path_control import PathControl
from testbed.stack.mptcp.path_manager.base import PathError

MOST_CONTROLLERS: Final = 16
MOST_WAITING: Final = 1 << 16  # octets that may wait for one program
LONGEST: Final = 1 << 12  # octets that one command may have
_RETRY_S: Final = 1.0  # the wait after a failed accept(2), as in asyncio
_SHORT: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_NAME: Final = "testbed mptcp paths"
_numbers: Final = itertools.count(1)


def default_name() -> str:
    """Return a new address for a socket of this process.

    It is abstract (unix(7)): it belongs to this network namespace, and ends with the process.
    """
    return f"\0{_NAME} {os.getpid()}-{next(_numbers)}"


class CommandSocket:
    """Listens for programs, and is the tracer (:class:`testbed.trace.Tracer`) of their events.

    Only programs of this user and of root are accepted.

    :param address: a path, or a name after a null octet.
    :param now: returns the time of the endpoint in nanoseconds.
    :param wake: schedules a round for the endpoint.
    :raises OSError: the address is in use or cannot be created.
    """

    def __init__(self, address: str, now: Callable[[], int], wake: Callable[[], None]) -> None:
        self._now = now
        self._wake = wake
        self._control: PathControl | None = None
        self._controllers: set[_Controller] = set()
        self._starting: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.get_running_loop()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.settimeout(0)
        self._listener.bind(address)
        self._listener.listen()
        self._watch()

    def control(self, paths: PathControl) -> None:
        """Set the paths that the commands change."""
        self._control = paths

    def event(self, name: str, now: int, fields: dict[str, Any]) -> None:
        """Send an event to all programs."""
        if self._controllers:
            line = _line({"event": name, "t_ns": now, **fields})
            for controller in self._controllers:
                controller.tell(line)

    def close(self) -> None:
        """Disconnect all programs."""
        if self._listener.fileno() < 0:
            return
        self._loop.remove_reader(self._listener)
        self._listener.close()
        for task in self._starting:
            task.cancel()
        for controller in list(self._controllers):
            controller.close()

    def _watch(self) -> None:
        if self._listener.fileno() >= 0:
            self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        try:
            found, _ = self._listener.accept()
        except OSError as error:
            if error.errno in _SHORT:
                self._loop.remove_reader(self._listener)
                self._loop.call_later(_RETRY_S, self._watch)
            return  # the program may have gone already
        if len(self._controllers) >= MOST_CONTROLLERS or _user(found) not in (0, os.getuid()):
            found.close()
            return
        controller = _Controller(self._carry_out, self._greet, self._controllers.discard)
        self._controllers.add(controller)
        task = self._loop.create_task(self._loop.connect_accepted_socket(lambda: controller, found))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    def _greet(self) -> list[bytes]:
        """Return the events that describe the present state to a new program."""
        control, now = self._control, self._now()
        found = () if control is None else control.events()
        return [_line({"event": name, "t_ns": now, **fields}) for name, fields in found]

    def _carry_out(self, line: bytes) -> dict[str, Any]:
        """Execute the command of a line; return the answer."""
        try:
            request = requests.read(line)
        except requests.RequestError as error:
            return {"ref": error.ref, "error": str(error)}
        try:
            assert self._control is not None  # noqa: S101 - given before the loop turns
            self._control.execute(request.token, request.as_command(), self._now())
        except PathError as error:
            return {"ref": request.ref, "error": str(error)}
        self._wake()
        return {"ref": request.ref, "done": request.name}


class _Controller(asyncio.Protocol):
    """A connected program."""

    def __init__(
        self,
        carry_out: Callable[[bytes], dict[str, Any]],
        greeting: Callable[[], list[bytes]],
        gone: Callable[[_Controller], None],
    ) -> None:
        self._carry_out = carry_out
        self._greeting = greeting
        self._gone = gone
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._full = False
        self._lost = 0  # events lost while the program did not read

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=MOST_WAITING)
        for line in self._greeting():
            self._write(line)

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if max(map(len, (*lines, self._rest))) > LONGEST:
            self._write(_line({"error": f"a command has at most {LONGEST} octets"}))
            self.close()
            return
        for line in lines:
            self._write(_line(self._carry_out(line)))

    def pause_writing(self) -> None:
        self._full = True
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._full = False
        if self._lost:
            self._write(_line({"event": "lost", "count": self._lost}))
            self._lost = 0
        if self._transport is not None:
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        self._gone(self)

    def tell(self, line: bytes) -> None:
        """Send an event, unless the program does not read."""
        if self._full:
            self._lost += 1
        else:
            self._write(line)

    def close(self) -> None:
        """Disconnect it after it has read the waiting events."""
        if self._transport is not None:
            self._transport.close()

    def _write(self, line: bytes) -> None:
        if self._transport is not None:
            self._transport.write(line)


def _line(found: dict[str, Any]) -> bytes:
    return msgspec.json.encode(found) + b"\n"


def _user(found: socket.socket) -> int:
    """Return the user of the program at the other end (unix(7), SO_PEERCRED)."""
    size = struct.calcsize("@iii")
    _, user, _ = struct.unpack(
        "@iii", found.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    )
    return int(user)
