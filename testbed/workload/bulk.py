"""Bulk transfer: as many octets as a connection can carry.

Each side that sends half-closes the connection after its last octet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from testbed.workload import kinds
from testbed.workload.alongside import alongside
from testbed.workload.metrics import quantiles
from testbed.workload.result import Findings
from testbed.workload.stacks.model import Streams, Transport
from testbed.workload.transfer import (
    Activity,
    Both,
    Goal,
    Report,
    Transfer,
    listening,
    now_ns,
)


class Job(kinds.Job, msgspec.Struct, frozen=True, kw_only=True, tag_field=kinds.TAG, tag="bulk"):
    """A transfer of ``octets`` in each chosen direction, or for ``duration_ns``.

    Without either, the transfer goes on until it is told to finish.

    :param forward: whether the client sends to the server.
    :param timed: whether the completion time of each transfer is reported.
    """

    octets: int | None
    duration_ns: int | None
    forward: bool
    reverse: bool
    timed: bool = False
    seed: int
    session: int = 0

    @property
    def goal(self) -> Goal:
        """The sum of the halves' activities at the end."""
        total = None if self.octets is None else self.octets * (self.forward + self.reverse)
        return Goal(unit="octets", total=total)


async def connect(
    stack: Transport, remote: tuple[str, int], job: Job, activity: Activity
) -> Report:
    """The client's half."""
    with Transfer(stack, activity, f"{job.seed} client", job.session) as transfer:
        streams = await transfer.connect(remote)
        return await _exchange(transfer, streams, job, sends=job.forward, receives=job.reverse)


async def serve(stack: Transport, local: tuple[str, int], job: Job, activity: Activity) -> Report:
    """The server's half."""
    async with listening(stack, local, activity) as listener:
        with Transfer(stack, activity, f"{job.seed} server", job.session) as transfer:
            streams = await transfer.accept(listener)
            return await _exchange(transfer, streams, job, sends=job.reverse, receives=job.forward)


async def _exchange(
    transfer: Transfer, streams: Streams, job: Job, *, sends: bool, receives: bool
) -> Report:
    reader, writer = streams
    ways = [_send(transfer, writer, job)] if sends else []
    if receives:
        ways.append(transfer.receive_to_end(reader))
    await alongside(*ways)
    return await transfer.complete(reader, writer)


async def _send(transfer: Transfer, writer: asyncio.StreamWriter, job: Job) -> None:
    limit_ns = job.duration_ns
    seconds = None if limit_ns is None else (transfer.started_ns + limit_ns - now_ns()) / 1e9
    try:
        async with asyncio.timeout(seconds) as timer:
            await transfer.send(writer, job.octets)
    except TimeoutError:
        if not timer.expired():  # a TimeoutError of the network: ETIMEDOUT
            raise
    transfer.half_close(writer)


def evaluate(sessions: Sequence[Both]) -> Findings:
    """Return the goodput of each direction if there are two, and the completion times."""
    metrics: dict[str, float] = {}
    samples: dict[str, tuple[int, ...]] = {}
    first: Job = sessions[0].job
    if first.forward and first.reverse:
        began_ns = min(both.client.started_ns for both in sessions)
        for name, reports in (
            ("goodput_forward", [both.server for both in sessions]),
            ("goodput_reverse", [both.client for both in sessions]),
        ):
            elapsed_ns = max(report.finished_ns for report in reports) - began_ns
            octets = sum(report.received.octets for report in reports)
            metrics[name] = octets * 8e9 / max(1, elapsed_ns)
    if first.timed:
        times_ns = tuple(both.finished_ns - both.client.started_ns for both in sessions)
        metrics |= {"transfers": len(times_ns), **quantiles("completion_time", times_ns)}
        samples["completion_time"] = times_ns
    return Findings(metrics=metrics, samples_ns=samples)
