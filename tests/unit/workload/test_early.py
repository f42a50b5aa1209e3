"""Writing to a connection of the kernel's MPTCP that is open before its handshake is over."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from testbed.workload.stacks import _early


class Handshake:
    """A substitute for the kernel's handshake: the test ends it."""

    def __init__(self, monkeypatch):
        self.over = asyncio.Event()
        self.lost = False
        monkeypatch.setattr(_early, "_handshake_over", self._wait)

    async def _wait(self, _):
        await self.over.wait()
        if self.lost:
            raise ConnectionResetError


@contextlib.asynccontextmanager
async def pair():
    """Yield a writer of this kind, and the socket at the other end."""
    here, there = socket.socketpair()
    there.settimeout(0)
    reader, writer = await asyncio.open_connection(sock=here)
    early = _early.AfterHandshake(writer, reader, here)
    with there, contextlib.closing(early):
        yield early, there


def written(there):
    with contextlib.suppress(BlockingIOError):
        return there.recv(100)
    return None


def test_what_is_written_early_waits_and_comes_first(monkeypatch):
    async def test():
        handshake = Handshake(monkeypatch)
        async with pair() as (writer, there):
            writer.write(b"one ")
            await asyncio.sleep(0)
            assert written(there) is None
            handshake.over.set()
            for word in (b"two ", b"three ", b"four "):  # one word in each round of the loop
                writer.write(word)
                await asyncio.sleep(0)
            await writer.drain()
            assert written(there) == b"one two three four "

    asyncio.run(test())


def test_its_end_waits_too(monkeypatch):
    async def test():
        handshake = Handshake(monkeypatch)
        async with pair() as (writer, there):
            writer.write(b"all")
            writer.write_eof()
            await asyncio.sleep(0)
            assert written(there) is None
            handshake.over.set()
            await writer.drain()
            assert (written(there), written(there)) == (b"all", b"")

    asyncio.run(test())


@pytest.mark.parametrize("lost", [False, True])
def test_nothing_is_left_of_one_that_is_closed_or_lost(monkeypatch, lost):
    async def test():
        handshake = Handshake(monkeypatch)
        async with pair() as (writer, there):
            writer.write(b"never")
            await asyncio.sleep(0)
            if lost:
                handshake.lost = True
                handshake.over.set()
                await writer.drain()
            writer.close()
            await writer.wait_closed()
            assert written(there) == b""
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(test())
