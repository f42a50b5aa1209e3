"""One end of a flow: the halves of all its sessions, over one stack, in one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from testbed.errors import WorkloadError
from testbed.workload.kinds import kind_of
from testbed.workload.limits import limited, stoppable
from testbed.workload.messages import Doing
from testbed.workload.session import Session
from testbed.workload.stacks.model import OnConnection, Scalar, Server, Streams, Transport
from testbed.workload.transfer import (
    Activity,
    Report,
    now_ns,
    sleep_until,
)

CLIENT: Final = "client"
SERVER: Final = "server"
_NUMBER: Final = 8  # octets of the number that identifies the session of a connection


class Half:
    """The task of one end.

    :param role: client (connects to ``address``) or server (listens on it).
    :param limit_ns: the time limit of each session, from the start of the run.
    :param on_ready: called once, when the server listens.
    :param on_start: called when a session starts.
    :param meet: waits until the other half of the session with that number has called it too.
    """

    def __init__(
        self,
        role: str,
        sessions: Sequence[Session],
        stack: Transport,
        address: tuple[str, int],
        limit_ns: int,
        *,
        on_ready: Callable[[], object] = lambda: None,
        on_start: Callable[[], object] = lambda: None,
        meet: Callable[[int], Awaitable[object]],
    ) -> None:
        self._role = role
        self._sessions = sessions
        self._stack = stack
        self._address = address
        self._limit_ns = limit_ns
        self._on_ready = on_ready
        self._over = asyncio.Event()
        several = len(sessions) > 1
        self._activities = [
            Activity(
                role if not several else f"{role} of connection {number + 1}",
                on_ready=(lambda: None) if several else on_ready,
                on_start=on_start,
                meet=lambda number=number: meet(number),  # type: ignore[misc]
                over=self._over,
            )
            for number in range(len(sessions))
        ]

    @property
    def doing(self) -> Doing | None:
        """The progress, or ``None`` before the first session has started."""
        started = [it.started_ns for it in self._activities if it.started_ns is not None]
        if not started:
            return None
        return Doing(
            started_ns=min(started),
            now_ns=now_ns(),
            octets=sum(activity.octets for activity in self._activities),
            samples=sum(activity.samples for activity in self._activities),
        )

    def finish(self) -> None:
        """Tell the flow to end, if it has no end of its own."""
        self._over.set()

    async def run(self, zero: Callable[[], Awaitable[int]]) -> tuple[Report, ...]:
        """Run all sessions. The client begins each at its time.

        :param zero: a function whose awaitable gives the start of the run. It is called here,
            because a task that is cancelled before its first step would leave an awaitable that is
            never awaited.
        :raises WorkloadError: a session failed, or the task was cancelled. The error is that of the
            first failed session.
        """
        began: asyncio.Future[int] = asyncio.ensure_future(zero())
        if len(self._sessions) == 1:
            return (await self._session(0, self._stack, began),)
        board = _Switchboard(self._stack)
        server = None
        if self._role == SERVER:
            server = await board.listen(self._address)
            self._on_ready()
        halves = [
            asyncio.ensure_future(self._session(number, board.line(number), began))
            for number in range(len(self._sessions))
        ]
        failed: list[BaseException] = []
        try:
            done, _ = await asyncio.wait(halves, return_when=asyncio.FIRST_EXCEPTION)
            failed = [error for half in done if (error := half.exception()) is not None]
        except asyncio.CancelledError:
            pass  # the errors of the halves report what they were waiting for
        finally:
            for half in halves:
                half.cancel()
            ended = await asyncio.gather(*halves, return_exceptions=True)
            if server is not None:
                server.close()
        failed = failed or [result for result in ended if isinstance(result, BaseException)]
        if failed:
            raise failed[0]
        return tuple(result for result in ended if isinstance(result, Report))

    async def _session(self, number: int, stack: Transport, zero: asyncio.Future[int]) -> Report:
        activity, session = self._activities[number], self._sessions[number]
        kind = kind_of(session.job)

        async def client() -> Report:
            await sleep_until(await asyncio.shield(zero) + session.at_ns)
            return await kind.connect(stack, self._address, session.job, activity)

        if self._role == CLIENT:
            half = client()
        else:
            half = kind.serve(stack, self._address, session.job, activity)
        return await stoppable(limited(half, activity, self._limit_ns, zero), activity)


class _Switchboard:
    """Several sessions on one port. The first octets of a connection identify its session.

    These octets are not measured.
    """

    def __init__(self, stack: Transport) -> None:
        self.stack = stack
        self._lines: dict[int, OnConnection] = {}
        self._arriving: set[asyncio.Task[None]] = set()

    def line(self, number: int) -> _Line:
        """Return the stack for the session with a number."""
        return _Line(self, number)

    async def listen(self, local: tuple[str, int]) -> Server:
        """Open the port."""
        return await self.stack.listen(self._accept, local)

    def take(self, number: int, on_connection: OnConnection) -> None:
        """Set the function that takes the connections of a session."""
        self._lines[number] = on_connection

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._connect(reader, writer))
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            number = int.from_bytes(await reader.readexactly(_NUMBER), "big")
            self._lines[number](reader, writer)
        except (OSError, EOFError, KeyError):
            writer.transport.abort()


class _Line:
    """The view that a session has of a stack that it shares with others."""

    def __init__(self, board: _Switchboard, number: int) -> None:
        self._board = board
        self._number = number

    async def connect(self, remote: tuple[str, int], data: bytes = b"") -> Streams:
        """Open a connection that starts with the number of the session."""
        number = self._number.to_bytes(_NUMBER, "big")
        return await self._board.stack.connect(remote, number + data)

    async def listen(self, on_connection: OnConnection, local: tuple[str, int]) -> Server:
        """Accept the connections of this session on the open port."""
        del local
        self._board.take(self._number, on_connection)
        return _Open()

    def inspect(self, writer: asyncio.StreamWriter) -> dict[str, Any]:
        """Return the stack's view of a connection."""
        return self._board.stack.inspect(writer)

    def used(self, writer: asyncio.StreamWriter) -> dict[str, Scalar]:
        """Return the options in use."""
        return self._board.stack.used(writer)


class _Open:
    """The server of a line. Its ``close`` does nothing: the port belongs to the switchboard."""

    def close(self) -> None:
        """Do nothing."""


def first(errors: Sequence[BaseException]) -> BaseException:
    """Return one error for all failed halves; an error other than WorkloadError has priority."""
    for error in errors:
        if not isinstance(error, WorkloadError):
            return error
    return WorkloadError("; ".join(dict.fromkeys(map(str, errors))))
