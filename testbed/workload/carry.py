"""Run prepared flows concurrently until the run is over."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from testbed.errors import WorkloadError
from testbed.workload.flow import Flow
from testbed.workload.result import WorkloadResult

Results = dict[str, WorkloadResult]
Running = asyncio.Task[WorkloadResult]


class Prepared(Protocol):
    """A flow whose programs have started and wait."""

    def run(self, zero_ns: int) -> Awaitable[WorkloadResult]:
        """Start the run at a time of the loop's clock, and wait for the end of the flow."""

    async def finish(self) -> None:
        """Tell the flow to end, if it has no end of its own."""


def no_progress(_: object) -> None:
    """Ignore progress."""


async def carry_out(flows: Sequence[Flow], ready: Mapping[str, Prepared], zero_ns: int) -> Results:
    """Run prepared flows from ``zero_ns`` on; endless flows finish after the others.

    :raises WorkloadError: a flow failed. The others are stopped.
    """
    running = {
        flow.name: asyncio.ensure_future(_named(flow, flows, ready[flow.name], zero_ns))
        for flow in flows
    }
    endless = [flow.name for flow in flows if flow.workload.endless]
    try:
        await _ended(running, [name for name in running if name not in endless])
        for name in endless:
            await ready[name].finish()
        await _ended(running, running)
        return {name: task.result() for name, task in running.items()}
    finally:
        for task in running.values():
            task.cancel()
        await asyncio.gather(*running.values(), return_exceptions=True)


async def _ended(running: Mapping[str, Running], wanted: Iterable[str]) -> None:
    """Wait until the named flows have ended. If any flow fails, raise its error at once."""
    pending = set(running.values())
    for task in [running[name] for name in wanted]:
        while not task.done():
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                each.result()
        task.result()


async def _named(
    flow: Flow, flows: Sequence[Flow], ready: Prepared, zero_ns: int
) -> WorkloadResult:
    with naming(flow, flows):
        return await ready.run(zero_ns)


@contextlib.contextmanager
def naming(flow: Flow, flows: Sequence[Flow]) -> Iterator[None]:
    """Add the name of the flow to errors if there are several flows."""
    try:
        yield
    except WorkloadError as error:
        if len(flows) == 1:
            raise
        raise WorkloadError(f"{flow.name}: {error.message}", hint=error.hint) from error
