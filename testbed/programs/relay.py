"""Moves the data of one connection between the stack and the program's Unix socket.

The program's end is a socket of the kernel. So the kernel handles reads, writes, waits, half-closes
and ``O_NONBLOCK``. Each event of the connection has a counterpart on the pair of sockets:

===============================  ===========================================================
a connection is being opened     the program's end is full, so that it is not writable
it is open                       there is room again
the peer has closed its side     our end is shut for writing: the program reads the end
RST, or another error            our end is closed with unread data: the program's reads fail
                                 with ECONNRESET (``unix_release_sock``, net/unix/af_unix.c)
the program shuts its side       our end reads the end: FIN
the program closes, or is ended  our end hangs up: FIN, or RST where the program has not read
                                 everything, and with SO_LINGER and a time of 0; it hangs up,
                                 too, when both have shut their sides
===============================  ===========================================================
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import select
import socket
import struct
import termios
from collections.abc import Callable
from typing import Final

from testbed.stack.connection import Connection
from testbed.streams import StreamTransport

BUFFER: Final = 128 * 1024  # octets of SO_SNDBUF of each end; the kernel doubles it
_MARK: Final = 1  # octet
_INT: Final = struct.Struct("=i")
_READ: Final = 256 * 1024  # maximum octets of one read from the program
_EVENTS: Final = (
    select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLET
)


def unread(near: socket.socket | Relay) -> int:
    """Return how many octets are unread (FIONREAD)."""
    found: int = _INT.unpack(fcntl.ioctl(near, termios.FIONREAD, bytes(_INT.size)))[0]
    return found


class Edges:
    """Reports events on the relays' ends of the pairs: one edge-triggered epoll for all relays.

    So a relay need not change its registration when it waits for another event.
    """

    _MOST: Final = 256  # maximum events of one call

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._relays: dict[int, Relay] = {}
        self._none = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._epoll, self._ready)

    def add(self, relay: Relay) -> None:
        """Start to report events to a relay."""
        self._relays[relay.fileno()] = relay
        self._epoll.register(relay.fileno(), _EVENTS)

    def remove(self, relay: Relay) -> None:
        """Stop reporting events to a relay. Its end must still be open."""
        if self._relays.pop(relay.fileno(), None) is not None:
            self._epoll.unregister(relay.fileno())
        if not self._relays:
            self._none.set()

    async def idle(self) -> None:
        """Wait until there are no relays."""
        while self._relays:
            self._none.clear()
            await self._none.wait()

    def close(self) -> None:
        """Stop reporting events."""
        asyncio.get_running_loop().remove_reader(self._epoll)
        self._epoll.close()

    def _ready(self) -> None:
        for fd, events in self._epoll.poll(0, self._MOST):
            relay = self._relays.get(fd)
            if relay is not None:
                relay.changed(events)


class Relay(asyncio.Protocol):
    """Moves the data of one connection in both directions.

    :param near: our end of the pair; it is non-blocking.
    :param junk: how many octets in the pair keep the program's end full until the connection is
        open.
    :param on_hangup: called when the program has closed its end, or both sides are shut, while the
        connection is open or being opened; it returns whether to reset the connection.
    :param on_failure: called when the connection has failed, so that it can leave unread data in
        ``near``.
    """

    def __init__(
        self,
        near: socket.socket,
        edges: Edges,
        *,
        junk: int = 0,
        on_hangup: Callable[[Relay], bool],
        on_failure: Callable[[Relay, OSError], object],
    ) -> None:
        self._near = near
        self._edges = edges
        self._junk = junk
        self._on_hangup = on_hangup
        self._on_failure = on_failure
        self._transport: StreamTransport | None = None
        self._waiting = memoryview(b"")  # data from the network that does not fit into the pair
        self._left: int | None = None  # octets before the mark at the end of the program's data
        self._readable = self._writing_paused = False
        self._eof_received = self._eof_sent = self._hung_up = self._closed = False
        self._left_unread = False  # the program closed its end with unread data
        self._failure: OSError | None = None
        edges.add(self)

    def fileno(self) -> int:
        """Return the descriptor of our end."""
        return self._near.fileno()

    @property
    def shut_both_ways(self) -> bool:
        """Whether both sides are closed in order. The program may still have its end open."""
        return self._eof_sent

    @property
    def over(self) -> bool:
        """Whether the relay is closed."""
        return self._closed

    @property
    def connection(self) -> Connection | None:
        """The connection, or ``None`` until it is open."""
        if self._transport is None:
            return None
        found: Connection = self._transport.get_extra_info("connection")
        return found

    # Events from the stack

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start to move data: the connection is open."""
        assert isinstance(transport, StreamTransport)  # noqa: S101 - of our streams
        self._transport = transport
        while self._junk:
            self._junk -= len(self._near.recv(self._junk))
        if self._hung_up:
            self._end()
        else:
            self._readable = True
            self._pull()

    def data_received(self, data: bytes) -> None:
        """Pass octets from the network to the program."""
        self._waiting = memoryview(data)
        self._push()

    def eof_received(self) -> bool:
        """Handle that the peer has closed its side."""
        self._eof_received = True
        self._push()
        return True  # our side stays open

    def connection_lost(self, exc: Exception | None) -> None:
        """Handle the end of the connection."""
        if isinstance(exc, OSError):
            self.fail(exc)
        else:
            self._close()

    def pause_writing(self) -> None:
        """Leave the program's data in the pair."""
        self._writing_paused = True

    def resume_writing(self) -> None:
        """Continue to send the program's data."""
        self._writing_paused = False
        self._pull()

    def fail(self, error: OSError) -> None:
        """Report an error to the program, after all data that arrived before it."""
        self._failure = error
        self._push()

    def shut(self) -> None:
        """Handle that the program has shut its side. A mark of one octet follows its data.

        The mark stays unread, so that a failure can still be reported.
        """
        self._left = unread(self._near) - _MARK
        self._readable = True
        self._pull()

    # Events from the pair

    def changed(self, events: int) -> None:
        """Handle events on our end of the pair."""
        if events & select.EPOLLHUP:
            self._hung_up = True
        if events & (select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLHUP):
            self._readable = True
            self._pull()
        if events & select.EPOLLOUT and (self._waiting or self._failure):
            self._push()
        if self._hung_up and not self._readable:
            self._end()

    def _pull(self) -> None:
        """Send the program's data, as long as the stack accepts it."""
        transport = self._transport
        if transport is None:  # not open yet
            if self._hung_up:
                self._end()
            return
        while self._readable and not (self._writing_paused or self._closed):
            try:
                data = self._take()
            except BlockingIOError:
                self._readable = False
            except ConnectionResetError:  # the program closed its end with unread data
                self._readable, self._hung_up, self._left_unread = False, True, True
            else:
                if data:
                    transport.write(data)
                else:
                    self._readable = False
                    if not self._hung_up:
                        transport.write_eof()
        if self._hung_up and not self._readable:
            self._end()

    def _take(self) -> bytes:
        """Return the next data of the program, ``b""`` at its end."""
        if self._left is None:
            return self._near.recv(_READ)
        if not self._left:
            return b""
        data = self._near.recv(min(_READ, self._left))
        self._left -= len(data)
        return data

    def _push(self) -> None:
        """Pass the waiting data to the program, as long as there is room."""
        transport = self._transport
        while self._waiting:
            try:
                self._waiting = self._waiting[self._near.send(self._waiting) :]
            except BlockingIOError:
                if transport is not None:
                    transport.pause_reading()
                return
            except OSError:  # the program does not read any more
                self._waiting = memoryview(b"")
        if self._failure is not None:
            self._give_up()
            return
        if self._eof_received and not self._eof_sent:
            self._eof_sent = True
            with contextlib.suppress(OSError):
                self._near.shutdown(socket.SHUT_WR)
        if transport is not None:
            transport.resume_reading()

    def _give_up(self) -> None:
        """Close our end so that the program sees an error."""
        if self._closed or self._failure is None:
            return
        self._on_failure(self, self._failure)
        self._close()

    def _end(self) -> None:
        """Handle that the program has closed its end, after all its data was read."""
        if self._closed:
            return
        # If the mark kept us from reading that far, an error of our end shows the same.
        unread = self._left_unread or self._near.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        reset = self._on_hangup(self) or unread  # RFC 9293, section 3.6.1, and RFC 2525
        transport = self._transport
        self._close()
        if transport is None:
            return
        if reset:
            transport.abort()
        else:
            transport.close()

    def _close(self) -> None:
        if not self._closed:
            self._closed = True
            if self._left is not None and self._failure is None:
                with contextlib.suppress(OSError):
                    self._near.recv(_MARK)  # an unread mark would be an error to the program
            self._edges.remove(self)
            self._near.close()
