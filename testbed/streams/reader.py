"""A stream reader that copies octets only if a read needs a part of a piece."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

WHOLE: Final = 128 * 1024  # octets: a piece as large as that is read by itself, as it is


class PieceReader(asyncio.StreamReader):
    """An ``asyncio.StreamReader`` that keeps pieces instead of one ``bytearray``.

    The reader of asyncio copies each octet three times: into its buffer, out of it, and to
    ``bytes``. This one returns large objects of ``feed_data`` themselves. All methods behave as in
    asyncio, except that ``read`` may return a large piece although more data is available.
    :meth:`give_to` does not wake a task for each piece.

    :param limit: reading is paused at twice this many octets.
    """

    def __init__(self, limit: int, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit=limit, loop=loop)
        self._on = loop
        self._most = limit
        self._pieces: deque[bytes] = deque()
        self._offset = 0  # octets of the first piece that have been read
        self._octets = 0
        self._ended = self._stopped = False
        self._error: BaseException | None = None
        self._source: asyncio.ReadTransport | None = None
        self._waits: asyncio.Future[None] | None = None
        self._taker: Callable[[bytes], object] | None = None

    def exception(self) -> Exception | None:
        """Return the exception of :meth:`set_exception`."""
        return self._error  # type: ignore[return-value]

    def set_exception(self, exc: Exception) -> None:
        """Let each read raise this exception."""
        self._error = exc
        self._wake(exc)

    def set_transport(self, transport: asyncio.BaseTransport) -> None:
        """Set the transport to pause while too much is unread."""
        self._source = transport  # type: ignore[assignment]

    def feed_eof(self) -> None:
        """Record the end of the stream."""
        self._ended = True
        self._wake()

    def at_eof(self) -> bool:
        """Return whether the stream has ended and everything was read."""
        return self._ended and not self._octets

    def feed_data(self, data: bytes) -> None:  # type: ignore[override]
        """Append octets, which must not change later."""
        if not data:
            return
        if self._taker is not None:
            self._give(data)
            return
        self._pieces.append(data)
        self._octets += len(data)
        self._wake()
        if self._source is not None and not self._stopped and self._octets > 2 * self._most:
            self._source.pause_reading()
            self._stopped = True

    async def read(self, n: int = -1) -> bytes:
        """Return at least one octet and at most ``n``, or ``b""`` at the end; without ``n`` all."""
        self._raise()
        if n < 0:
            found = []
            while data := await self.read(self._most):
                found.append(data)
            return b"".join(found)
        if not n:
            return b""
        if not self._octets and not self._ended:
            await self._more("read")
        pieces = self._pieces
        if pieces and not self._offset and WHOLE <= len(pieces[0]) < n:
            n = len(pieces[0])
        return self._take(n)

    async def give_to(self, take: Callable[[bytes], object]) -> None:
        """Call ``take`` with all octets as they arrive, in pieces; return at the end.

        An exception in ``take`` is raised here, and stops this.
        """
        self._raise()
        if self._octets:
            take(self._take(self._octets))
        self._taker = take
        try:
            while not self._ended:
                await self._more("give_to")
        finally:
            self._taker = None

    async def readexactly(self, n: int) -> bytes:
        """Return ``n`` octets.

        :raises IncompleteReadError: the stream ends before.
        """
        if n < 0:
            raise ValueError("readexactly size can not be less than zero")
        self._raise()
        while self._octets < n:
            if self._ended:
                raise asyncio.IncompleteReadError(self._take(self._octets), n)
            await self._more("readexactly")
        return self._take(n)

    async def readuntil(self, separator: bytes = b"\n") -> bytes:  # type: ignore[override]
        """Return the octets up to a separator, and the separator.

        :raises IncompleteReadError: the stream ends before.
        :raises LimitOverrunError: there is none within the limit. The data stays unread.
        """
        if not separator:
            raise ValueError("Separator should be at least one-byte string")
        self._raise()
        seen = 0
        while (at := self._find(separator, seen)) < 0:
            seen = max(0, self._octets + 1 - len(separator))
            if seen > self._most:
                raise asyncio.LimitOverrunError(
                    "Separator is not found, and chunk exceed the limit", seen
                )
            if self._ended:
                raise asyncio.IncompleteReadError(self._take(self._octets), None)
            await self._more("readuntil")
        if at > self._most:
            raise asyncio.LimitOverrunError(
                "Separator is found, but chunk is longer than limit", at
            )
        return self._take(at + len(separator))

    async def readline(self) -> bytes:
        """Return a line, or the incomplete one at the end.

        :raises ValueError: it is longer than the limit. The part that was read is dropped.
        """
        try:
            return await self.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            return error.partial
        except asyncio.LimitOverrunError as error:
            found = self._find(b"\n", error.consumed) == error.consumed
            self._take(error.consumed + 1 if found else self._octets)
            raise ValueError(error.args[0]) from None

    def _take(self, limit: int) -> bytes:
        """Remove and return at most this many octets."""
        pieces, found = self._pieces, []
        missing = min(limit, self._octets)
        self._octets -= missing
        while missing:
            part = pieces[0][self._offset : self._offset + missing]
            found.append(part)
            missing -= len(part)
            self._offset += len(part)
            if self._offset == len(pieces[0]):
                pieces.popleft()
                self._offset = 0
        self._resume()
        return b"".join(found)

    def _give(self, data: bytes) -> None:
        try:
            self._taker(data)  # type: ignore[misc]
        except Exception as error:
            self._taker = None
            self._wake(error)

    def _find(self, separator: bytes, start: int) -> int:
        """Return the offset of a separator in the unread data, or -1; merge the data."""
        pieces = self._pieces
        if len(pieces) > 1:
            whole = b"".join(pieces)[self._offset :]
            self._pieces, self._offset = deque((whole,)), 0
        elif not pieces:
            return -1
        at = self._pieces[0].find(separator, self._offset + start)
        return at - self._offset if at >= 0 else -1

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _resume(self) -> None:
        if self._stopped and self._octets <= self._most and self._source is not None:
            self._stopped = False
            self._source.resume_reading()

    async def _more(self, what: str) -> None:
        """Wait for octets or the end."""
        if self._waits is not None:
            raise RuntimeError(
                f"{what}() called while another coroutine is already waiting for incoming data"
            )
        # Resume, or the source stays paused for ever.
        if self._stopped and self._source is not None:
            self._stopped = False
            self._source.resume_reading()
        self._waits = self._on.create_future()
        try:
            await self._waits
        finally:
            self._waits = None

    def _wake(self, error: BaseException | None = None) -> None:
        waits, self._waits = self._waits, None
        if waits is not None and not waits.done():
            if error is None:
                waits.set_result(None)
            else:
                waits.set_exception(error)
