"""The holder's side of one client's connection."""

from __future__ import annotations

import os
import selectors
import socket
from collections import deque
from collections.abc import Iterator

import msgspec

from testbed.sandbox import protocol

_requests = msgspec.msgpack.Decoder(protocol.AnyRequest)


class Connection:
    """Receives and sends frames and never waits for a slow client."""

    def __init__(self, sock: socket.socket, selector: selectors.BaseSelector) -> None:
        sock.settimeout(0)
        self.sock = sock
        self.children: set[int] = set()  # pids of the processes that the client started
        self._selector = selector
        self._frames = protocol.Frames()
        self._descriptors: deque[int] = deque()
        self._outgoing: deque[tuple[bytes, tuple[int, ...]]] = deque()

    def fileno(self) -> int:
        """Return the descriptor of the socket, for selectors."""
        return self.sock.fileno()

    def receive(self) -> Iterator[protocol.AnyRequest]:
        """Yield the requests that have arrived.

        :raises EOFError: the client has closed the connection.
        """
        try:
            data, descriptors = protocol.receive(self.sock)
        except BlockingIOError:
            return
        except ConnectionError as error:
            raise EOFError from error
        self._descriptors.extend(descriptors)
        if not data:
            raise EOFError
        for body in self._frames.feed(data):
            yield _requests.decode(body)

    def take_descriptors(self, count: int) -> tuple[int, ...]:
        """Return the descriptors received with a request; the caller closes them."""
        return tuple(self._descriptors.popleft() for _ in range(count))

    def send(self, message: protocol.AnyAnswer, descriptors: tuple[int, ...] = ()) -> None:
        """Queue a message with duplicates of ``descriptors``, which the caller may close."""
        self._outgoing.append((protocol.pack(message), tuple(os.dup(fd) for fd in descriptors)))
        self.flush()

    def flush(self) -> None:
        """Send as much as the socket accepts; register for another call if data is left."""
        try:
            while self._outgoing:
                self._send_some(*self._outgoing.popleft())
        except BlockingIOError:
            pass
        except OSError:
            self._outgoing.clear()  # the client has closed; the next read reports it
        events = selectors.EVENT_READ
        if self._outgoing:
            events |= selectors.EVENT_WRITE
        key = self._selector.get_key(self)
        if key.events != events:
            self._selector.modify(self, events, key.data)

    def _send_some(self, data: bytes, descriptors: tuple[int, ...]) -> None:
        """Send a message or a part of it; the rest returns to the head of the queue."""
        try:
            if descriptors:
                sent = socket.send_fds(self.sock, [data], descriptors)
            else:
                sent = self.sock.send(data)
        except BlockingIOError:
            self._outgoing.appendleft((data, descriptors))
            raise
        for fd in descriptors:
            os.close(fd)
        if sent < len(data):
            self._outgoing.appendleft((data[sent:], ()))

    def close(self) -> None:
        """Close the connection and all queued descriptors."""
        for fd in self._descriptors:
            os.close(fd)
        for _, descriptors in self._outgoing:
            for fd in descriptors:
                os.close(fd)
        self.sock.close()
