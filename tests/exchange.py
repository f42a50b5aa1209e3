"""A stream each way at once, and whether what arrives is what was sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec


class End(msgspec.Struct):
    """What one end has to send, has to receive, and got.

    :param restore: makes of what has come what was sent, where a box on the way changes it.
    :param error: None after an orderly end.
    """

    sent: bytes
    expected: bytes
    received: int = 0
    restore: Callable[[bytes], bytes] | None = None
    changed: bytes = b""
    error: OSError | None = None

    def take(self, data: bytes) -> None:
        """Check that this is what comes next."""
        if self.restore is not None:
            self.changed += data
            return
        start, self.received = self.received, self.received + len(data)
        assert data == self.expected[start : self.received], "octets arrive that were not sent"

    def check(self) -> None:
        """Check that an orderly end comes after everything."""
        if self.restore is not None and self.error is None:
            restored = self.restore(self.changed)
            assert restored == self.expected
            self.received = len(restored)
        whole = self.received == len(self.expected)
        assert self.error is not None or whole, "the stream ends too early"


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, end: End) -> None:
    """Send, and receive at the same time, until both directions have ended."""

    async def send() -> None:
        for at in range(0, len(end.sent), 50_000):
            writer.write(end.sent[at : at + 50_000])
            await writer.drain()
        writer.write_eof()

    async def receive() -> None:
        while data := await reader.read(100_000):
            end.take(data)

    try:
        outcomes = await asyncio.gather(send(), receive(), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, OSError):
                end.error = outcome
            elif outcome is not None:
                raise outcome
        writer.close()
        await writer.wait_closed()
    except OSError as error:
        end.error = error
    finally:
        writer.transport.abort()
