"""A connection as an asyncio transport."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections import deque
from typing import Final, Protocol

from testbed.stack.connection import Connection, ConnectionFailure, Endpoint, ErrorKind

HIGH_WATER: Final = 64 * 1024  # octets; of what the stack has not taken: asyncio's own default
_READ: Final = 256 * 1024  # octets taken from the stack at once: asyncio's size of recv(2)


_ERRNO: Final = {
    ErrorKind.REFUSED: errno.ECONNREFUSED,
    ErrorKind.RESET: errno.ECONNRESET,
    ErrorKind.TIMED_OUT: errno.ETIMEDOUT,
    ErrorKind.ABORTED: errno.ECONNABORTED,
    ErrorKind.UNREACHABLE: errno.EHOSTUNREACH,
    ErrorKind.MESSAGE_SIZE: errno.EMSGSIZE,
    ErrorKind.PROTOCOL: errno.EPROTO,
    ErrorKind.INTERNAL: errno.EIO,
}


def error_of(failure: ConnectionFailure) -> OSError:
    """Return the OSError that a socket would raise for a failure."""
    number = _ERRNO[failure.kind]
    detail = f" ({failure.detail})" if failure.detail else ""
    error = OSError(number, os.strerror(number) + detail)
    error.__cause__ = failure.cause
    return error


class Driver(Protocol):
    """The driver of an endpoint."""

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint of the connections."""

    def now(self) -> int:
        """Return the time of the endpoint in nanoseconds."""

    def wake(self) -> None:
        """Schedule a round of the driver.

        Soon, but not before this returns, the driver must send segments, pass events to
        ``dispatch`` and read ``next_timer`` again.
        """


class StreamTransport(asyncio.Transport):
    """A connection as an asyncio transport.

    ``get_extra_info`` has ``connection``, ``sockname`` and ``peername``.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        driver: Driver,
        connection: Connection,
        protocol: asyncio.Protocol,
    ) -> None:
        flow = connection.flow
        super().__init__(
            {
                "connection": connection,
                "sockname": tuple(flow.local),
                "peername": tuple(flow.remote),
            }
        )
        self._loop = loop
        self._driver = driver
        self._connection = connection
        self._protocol: asyncio.BaseProtocol = protocol
        self._buffer: deque[memoryview] = deque()  # data that the stack has not taken
        self._buffered = 0  # octets in there
        self._high, self._low = HIGH_WATER, HIGH_WATER // 4
        self._writing_paused = self._reading_paused = False
        self._eof_received = self._eof_written = False
        self._closing = self._lost = False
        self._awaited: asyncio.Future[None] | None = None  # set when everything is delivered

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol."""
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Set the protocol."""
        self._protocol = protocol

    def is_closing(self) -> bool:
        """Return whether it is closed or closing."""
        return self._closing

    def is_reading(self) -> bool:
        """Return whether received data is passed to the protocol."""
        return not (self._reading_paused or self._closing)

    def pause_reading(self) -> None:
        """Stop reading. Data stays in the stack, whose window closes."""
        self._reading_paused = True

    def resume_reading(self) -> None:
        """Resume reading."""
        if self._reading_paused:
            self._reading_paused = False
            self._loop.call_soon(self.read_ready)

    def read_ready(self) -> None:
        """Pass the readable data to the protocol."""
        taken = False
        octets = _READ
        while octets == _READ and self.is_reading():  # fewer octets mean that no more are readable
            data = self._connection.read(_READ)
            octets = len(data)
            if data:
                taken = True
                self._protocol.data_received(data)  # type: ignore[attr-defined]
        if taken:
            self._driver.wake()  # the window has opened
        if self.is_reading() and self._connection.at_eof and not self._eof_received:
            self._eof_received = True
            if not self._protocol.eof_received():  # type: ignore[attr-defined]
                self.close()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send data in order, as fast as the stack takes it. Ignored after the connection is lost.

        :raises RuntimeError: after ``write_eof``.
        """
        if self._eof_written:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._closing or not data:
            return
        self._buffer.append(_lasting(data))
        self._buffered += len(data)
        if len(self._buffer) == 1:
            self._flush()
        if self._buffered > self._high and not self._writing_paused:
            self._writing_paused = True
            self._protocol.pause_writing()

    def write_ready(self) -> None:
        """Continue to send the buffered data."""
        if self._lost or not self._buffer:
            return
        self._flush()
        if self._writing_paused and self._buffered <= self._low:
            self._writing_paused = False
            self._protocol.resume_writing()

    def can_write_eof(self) -> bool:
        """Return True."""
        return True

    def write_eof(self) -> None:
        """Close the sending side after the written data."""
        if self._eof_written or self._closing:
            return
        self._eof_written = True
        self._end_output()

    def close(self) -> None:
        """Stop reading, send the written data, then close."""
        if not self._closing:
            self._closing = True
            self._end_output()

    def abort(self) -> None:
        """Reset the connection. Data that was written but not sent is lost."""
        if not self._lost:
            self._connection.abort()
            self._driver.wake()
            self._lose(None)

    async def delivered(self) -> None:
        """Wait until the peer has acknowledged everything, or the connection has ended.

        It works for a closed connection with the option ``linger``.
        """
        if not (self._connection.delivered or self._connection.closed):
            self._awaited = self._loop.create_future()
            await self._awaited

    def note_delivered(self) -> None:
        """Record that the peer has acknowledged everything."""
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_result(None)

    def ended(self, failure: ConnectionFailure | None) -> None:
        """Record the end of the connection. After an orderly end the rest can still be read."""
        self.note_delivered()
        if self._lost:
            return
        try:
            self.read_ready()
        finally:
            if failure is not None:
                self._lose(error_of(failure))

    def get_write_buffer_size(self) -> int:
        """Return how many octets the stack has not taken yet."""
        return self._buffered

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the low and the high water mark in octets."""
        return self._low, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the marks at which writing pauses (above high) and resumes (at low or below).

        :raises ValueError: not ``high >= low >= 0``.
        """
        if high is None:
            high = HIGH_WATER if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self._high, self._low = high, low

    def _flush(self) -> None:
        """Give the stack as much data as it takes."""
        buffer = self._buffer
        # BrokenPipeError: the connection is over, and the event that says why is on its way.
        with contextlib.suppress(BrokenPipeError):
            while buffer:
                view = buffer[0]
                taken = self._connection.send(view)
                self._buffered -= taken
                if taken < len(view):
                    buffer[0] = view[taken:]
                    break
                buffer.popleft()
        self._end_output()

    def _end_output(self) -> None:
        if not self._buffer and not self._lost:
            if self._closing:
                self._connection.close()
                self._lose(None)
            elif self._eof_written:
                self._connection.shutdown()
        self._driver.wake()

    def _lose(self, error: OSError | None) -> None:
        self._closing = self._lost = True
        self._buffer.clear()
        self._buffered = 0
        self._loop.call_soon(self._protocol.connection_lost, error)


def _lasting(data: bytes | bytearray | memoryview) -> memoryview:
    """Return an immutable view of octets: a copy, unless they cannot change."""
    if isinstance(data, memoryview) and type(data.obj) is bytes and data.format == "B":
        return data
    return memoryview(bytes(data))
