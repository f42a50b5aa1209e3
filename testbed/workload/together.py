"""Both halves of a built-in kind in one event loop, for stacks that live in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from testbed.errors import WorkloadError
from testbed.workload.halves import ANY_ADDRESS, Tally, doing, result, verify
from testbed.workload.kinds import Job, kind_of
from testbed.workload.messages import Doing
from testbed.workload.result import OnProgress, WorkloadResult
from testbed.workload.spec import Bulk, ReqRes, Stream
from testbed.workload.stacks import Stack
from testbed.workload.transfer import Activity, Report, limited, stoppable

PROGRESS_S: Final = 1.0


async def run(
    workload: Bulk | ReqRes | Stream,
    source: Stack,
    target: Stack,
    *,
    address: str,
    seed: int,
    timeout_ns: int,
    on_progress: OnProgress,
) -> WorkloadResult:
    """Run both halves, let the client begin when the server listens, and compare.

    :param source: the client's stack; ``target`` the server's.
    :param timeout_ns: on the loop's clock.
    :raises WorkloadError: as :func:`testbed.workload.run.run`.
    """
    job = workload.resolve(seed)
    halves = _Halves(job, on_progress)
    kind, client, server = kind_of(job), halves.client, halves.server
    local, remote = (ANY_ADDRESS[workload.family], workload.port), (address, workload.port)

    async def serve() -> Report:
        half = limited(kind.serve(target, local, job, server), server, timeout_ns)
        return await stoppable(half, server)

    async def connect() -> Report:
        await halves.ready.wait()
        half = limited(kind.connect(source, remote, job, client), client, timeout_ns)
        return await stoppable(half, client)

    telling = asyncio.ensure_future(halves.tell())
    try:
        client_report, server_report = await _both(
            [asyncio.ensure_future(half()) for half in (connect, serve)]
        )
    finally:
        telling.cancel()
    verify(client_report, server_report)
    return result(workload, job, client_report, server_report, cpu={})


class _Halves:
    """What the two halves have in common: where they meet, and how far they are."""

    def __init__(self, job: Job, on_progress: OnProgress) -> None:
        self.ready = asyncio.Event()
        self._both = asyncio.Barrier(2)
        tally = Tally(job, on_progress)
        self.client = self._activity("client", tally.client)
        self.server = self._activity("server", tally.server)
        self._tellers = ((self.client, tally.client), (self.server, tally.server))

    async def tell(self) -> None:
        """Say from time to time how far the halves are."""
        while True:
            await asyncio.sleep(PROGRESS_S)
            for activity, say in self._tellers:
                if activity.started_ns is not None:
                    say(doing(activity))

    def _activity(self, role: str, say: Callable[[Doing], None]) -> Activity:
        activity = Activity(
            role,
            on_ready=self.ready.set,
            on_start=lambda: say(doing(activity)),
            meet=self._both.wait,
        )
        return activity


async def _both(halves: Sequence[asyncio.Task[Report]]) -> list[Report]:
    """Wait for both; when one fails, the error says what each of them was waiting for."""
    try:
        await asyncio.wait(halves, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for half in halves:
            half.cancel()
        await asyncio.gather(*halves, return_exceptions=True)
    errors = [error for half in halves if not half.cancelled() and (error := half.exception())]
    for error in errors:
        if not isinstance(error, WorkloadError):
            raise error
    if errors:
        raise WorkloadError("; ".join(str(error) for error in errors))
    return [half.result() for half in halves]
