"""Bulk transfer: as much as one connection carries.

Each side that sends half-closes when it is done, and so tells the other that this was all.
"""

from __future__ import annotations

import asyncio

import msgspec

from testbed.workload.result import Findings
from testbed.workload.stacks import Stack, Streams
from testbed.workload.transfer import Activity, Goal, Report, Transfer, listening, now_ns


class Job(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="bulk"):
    """``octets`` each way that is asked for, or whatever is taken within ``duration_ns``."""

    octets: int | None
    duration_ns: int | None
    forward: bool  # client to server
    reverse: bool
    seed: int

    @property
    def goal(self) -> Goal:
        """What the halves' activities add up to at the end."""
        total = None if self.octets is None else self.octets * (self.forward + self.reverse)
        return Goal(unit="octets", total=total)


async def connect(stack: Stack, remote: tuple[str, int], job: Job, activity: Activity) -> Report:
    """The client's half."""
    with Transfer(stack, activity, f"{job.seed} client") as transfer:
        streams = await transfer.connect(remote)
        return await _exchange(transfer, streams, job, sends=job.forward, receives=job.reverse)


async def serve(stack: Stack, local: tuple[str, int], job: Job, activity: Activity) -> Report:
    """The server's half."""
    async with listening(stack, local, activity) as listener:
        with Transfer(stack, activity, f"{job.seed} server") as transfer:
            streams = await transfer.accept(listener)
            return await _exchange(transfer, streams, job, sends=job.reverse, receives=job.forward)


async def _exchange(
    transfer: Transfer, streams: Streams, job: Job, *, sends: bool, receives: bool
) -> Report:
    reader, writer = streams
    ways = [_send(transfer, writer, job)] if sends else []
    if receives:
        ways.append(transfer.receive_to_end(reader))
    await asyncio.gather(*ways)
    return await transfer.complete(reader, writer)


async def _send(transfer: Transfer, writer: asyncio.StreamWriter, job: Job) -> None:
    limit_ns = job.duration_ns
    seconds = None if limit_ns is None else (transfer.started_ns + limit_ns - now_ns()) / 1e9
    try:
        async with asyncio.timeout(seconds) as timer:
            await transfer.send(writer, job.octets)
    except TimeoutError:
        if not timer.expired():  # it is the network's: ETIMEDOUT
            raise
    transfer.half_close(writer)


def evaluate(job: Job, client: Report, server: Report) -> Findings:
    """Return the goodput of each direction where there are two."""
    if not (job.forward and job.reverse):
        return Findings()
    return Findings(
        metrics={
            name: report.received.octets * 8e9 / max(1, report.finished_ns - client.started_ns)
            for name, report in (("goodput_forward", server), ("goodput_reverse", client))
        }
    )
