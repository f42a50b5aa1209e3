"""The client's end of the connection to a holder, with asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

import testbed.sandbox.protocol as protocol
from testbed.errors import SandboxError, TestbedError

_answers = msgspec.msgpack.Decoder(protocol.AnyAnswer)
_ENDED = "the sandbox ended"


class Channel:
    """The requests to a holder and their answers, each awaited by its own task.

    When the connection ends, or the holder reports a fault, all pending and later requests fail
    with :class:`SandboxError`.

    :param last_words: returns the holder's last output; called when the connection ends.
    """

    def __init__(self, sock: socket.socket, last_words: Callable[[], str | None]) -> None:
        sock.settimeout(0)
        self._last_words = last_words
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._frames = protocol.Frames()
        self._descriptors: deque[int] = deque()
        self._ids = itertools.count(1)
        self._sending = asyncio.Lock()
        self._ready: asyncio.Future[protocol.Ready] = self._future()
        self._answers: dict[int, asyncio.Future[protocol.Done]] = {}
        self._exits: dict[int, asyncio.Future[protocol.Exited]] = {}
        self._failure: TestbedError | None = None
        self._loop.add_reader(sock, self._receive)

    async def ready(self) -> protocol.Ready:
        """Wait until the holder of a new sandbox is ready, or raise its error.

        The message includes a descriptor, the pidfd of the stem.
        """
        return await self._ready

    async def request(
        self,
        kind: type[protocol.Request],
        *,
        send: Sequence[int] = (),
        **fields: Any,
    ) -> protocol.Done:
        """Send a request and return its answer, or raise the error that the holder reports.

        :param send: descriptors to send with the request; the caller still has to close them.
        """
        if self._failure is not None:
            raise self._failure
        number = next(self._ids)
        answer: asyncio.Future[protocol.Done] = self._loop.create_future()
        self._answers[number] = answer
        try:
            async with self._sending:
                await self._send(protocol.pack(kind(id=number, **fields)), send)
            return await answer
        finally:
            del self._answers[number]

    def exited(self, pid: int) -> asyncio.Future[protocol.Exited]:
        """Return a future for the end of a process."""
        if pid not in self._exits:
            self._exits[pid] = self._future()
            if self._failure is not None:
                self._exits[pid].set_exception(self._failure)
        return self._exits[pid]

    def take_descriptors(self, count: int) -> tuple[int, ...]:
        """Return the descriptors received with an answer; the caller closes them."""
        return tuple(self._descriptors.popleft() for _ in range(count))

    def close(self) -> None:
        """Close the connection. Pending calls raise :class:`SandboxError`."""
        if self._sock.fileno() < 0:
            return
        self._loop.remove_reader(self._sock)
        self._sock.close()
        while self._descriptors:
            os.close(self._descriptors.popleft())
        self._fail(SandboxError("the connection to the sandbox is closed"))

    def _future(self) -> asyncio.Future[Any]:
        """Return a future that need not be awaited: asyncio logs no failure of it."""
        future: asyncio.Future[Any] = self._loop.create_future()
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        return future

    async def _send(self, data: bytes, descriptors: Sequence[int]) -> None:
        try:
            if descriptors:  # the first octet carries them, and a stream socket never splits it
                await self._writable()
                socket.send_fds(self._sock, [data[:1]], list(descriptors))
                data = data[1:]
            await self._loop.sock_sendall(self._sock, data)
        except OSError as error:
            raise self._failure or SandboxError(_ENDED) from error

    async def _writable(self) -> None:
        writable = asyncio.Event()
        self._loop.add_writer(self._sock, writable.set)
        try:
            await writable.wait()
        finally:
            self._loop.remove_writer(self._sock)

    def _receive(self) -> None:
        try:
            data, descriptors = protocol.receive(self._sock)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data, descriptors = b"", []
        self._descriptors.extend(descriptors)
        if not data:
            self._loop.remove_reader(self._sock)
            self._fail(SandboxError(_ENDED, hint=self._last_words()))
            return
        for body in self._frames.feed(data):
            self._dispatch(_answers.decode(body))

    def _dispatch(self, answer: protocol.AnyAnswer) -> None:
        match answer:
            case protocol.Ready():
                self._ready.set_result(answer)
            case protocol.Failed(id=0):
                self._ready.set_exception(answer.failure.error())
            case protocol.Done(id=number) | protocol.Failed(id=number):
                self._settle(number, answer)
            case protocol.Exited(pid=pid):
                exited = self._exits.setdefault(pid, self._future())
                if not exited.done():  # an earlier fault may have set the result
                    exited.set_result(answer)
            case protocol.Fault():
                self._fail(answer.failure.error())

    def _settle(self, number: int, answer: protocol.Done | protocol.Failed) -> None:
        future = self._answers.get(number)
        if future is None or future.done():  # the task of the request was cancelled
            with contextlib.suppress(AttributeError):
                for fd in self.take_descriptors(getattr(answer, "descriptors", 0)):
                    os.close(fd)
        elif isinstance(answer, protocol.Failed):
            future.set_exception(answer.failure.error())
        else:
            future.set_result(answer)

    def _fail(self, error: TestbedError) -> None:
        """Let all pending and later requests fail; the first cause stays."""
        self._failure = self._failure or error
        futures: tuple[asyncio.Future[Any], ...]
        futures = (self._ready, *self._answers.values(), *self._exits.values())
        for future in futures:
            if not future.done():
                future.set_exception(self._failure)
