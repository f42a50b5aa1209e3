"""Both halves of a flow in one event loop, for stacks in this process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from testbed.workload.base import PairedSpec
from testbed.workload.half import CLIENT, SERVER, Half, first
from testbed.workload.halves import ANY_ADDRESS, Tally, paired, result
from testbed.workload.messages import Doing
from testbed.workload.result import OnProgress, WorkloadResult
from testbed.workload.session import Session
from testbed.workload.stacks.model import Transport
from testbed.workload.transfer import Report

PROGRESS_S: Final = 1.0


@contextlib.asynccontextmanager
async def prepared(
    workload: PairedSpec,
    source: Transport,
    target: Transport,
    *,
    address: str,
    seed: int,
    timeout_ns: int,
    on_progress: OnProgress,
) -> AsyncIterator[Together]:
    """Prepare the two ends of a flow. Inside the context the server listens.

    :param source: the client's stack; ``target`` is the server's stack.
    :param timeout_ns: the time limit on the loop's clock, from the start of the run.
    """
    sessions = workload.sessions(seed)
    port = workload.port or workload.usual_port
    remote, local = (address, port), (ANY_ADDRESS[workload.family], port)
    flow = Together(workload, sessions, timeout_ns, on_progress)
    flow.begin_listening(source, target, remote, local)
    try:
        await flow.ready()
        yield flow
    finally:
        await flow.close()


class Together:
    """A flow whose two ends are tasks of the same event loop."""

    def __init__(
        self,
        workload: PairedSpec,
        sessions: tuple[Session, ...],
        timeout_ns: int,
        on_progress: OnProgress,
    ) -> None:
        self._workload = workload
        self._sessions = sessions
        self._timeout_ns = timeout_ns
        self._tally = Tally(sessions, on_progress)
        self._listening = asyncio.Event()
        self._zero: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._barriers = [asyncio.Barrier(2) for _ in sessions]
        self._ends: tuple[tuple[Half, Callable[[Doing], None]], ...] = ()
        self._tasks: list[asyncio.Task[tuple[Report, ...]]] = []

    def begin_listening(
        self,
        source: Transport,
        target: Transport,
        remote: tuple[str, int],
        local: tuple[str, int],
    ) -> None:
        """Start both ends. The client waits for :meth:`run`."""
        client = self._half(CLIENT, source, remote, self._tally.client)
        server = self._half(SERVER, target, local, self._tally.server)
        self._ends = (client, self._tally.client), (server, self._tally.server)
        self._tasks = [asyncio.ensure_future(half.run(self._begun)) for half, _ in self._ends]

    async def ready(self) -> None:
        """Wait until the server listens. If it fails, :meth:`run` raises the error."""
        listening = asyncio.ensure_future(self._listening.wait())
        await asyncio.wait([listening, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
        listening.cancel()

    async def run(self, zero_ns: int) -> WorkloadResult:
        """Start the run at ``zero_ns`` of the loop's clock, and wait for both ends.

        :raises WorkloadError: as for :func:`testbed.workload.run.run`.
        """
        self._zero.set_result(zero_ns)
        telling = asyncio.ensure_future(self._tell())
        try:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            telling.cancel()
            await self.close()
        errors = [
            error for task in self._tasks if not task.cancelled() and (error := task.exception())
        ]
        if errors:
            raise first(errors)
        clients, servers = (task.result() for task in self._tasks)
        return result(self._workload, paired(self._sessions, clients, servers), cpu={})

    async def finish(self) -> None:
        """Tell the sessions to end that have no end of their own."""
        for half, _ in self._ends:
            half.finish()

    async def close(self) -> None:
        """Stop the ends that still run."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _begun(self) -> int:
        return await asyncio.shield(self._zero)

    async def _tell(self) -> None:
        """Report the progress of the ends at intervals."""
        while True:
            await asyncio.sleep(PROGRESS_S)
            for half, say in self._ends:
                if half.doing is not None:
                    say(half.doing)

    def _half(
        self,
        role: str,
        stack: Transport,
        address: tuple[str, int],
        say: Callable[[Doing], None],
    ) -> Half:
        def started() -> None:
            if half.doing is not None:
                say(half.doing)

        def meet(session: int) -> Awaitable[object]:
            return self._barriers[session].wait()

        half = Half(
            role,
            self._sessions,
            stack,
            address,
            self._timeout_ns,
            on_ready=self._listening.set,
            on_start=started,
            meet=meet,
        )
        return half
