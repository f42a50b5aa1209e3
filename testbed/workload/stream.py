"""A stream of blocks at a fixed rate, with the delay of each block.

The delay of a block starts when the sender could first have passed it to the stack: when the block
was due, or when the sender's timer fired if it was late. If the stack accepts no more data, this
time does not change, so queueing in the sender counts. Both ends must use the same clock, as two
processes on one machine do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from testbed.workload import kinds
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
    sleep_until,
)


class Job(kinds.Job, msgspec.Struct, frozen=True, kw_only=True, tag_field=kinds.TAG, tag="stream"):
    """``count`` blocks, each due ``interval_ns`` after the one before."""

    block: int  # octets
    interval_ns: int
    count: int
    forward: bool  # whether the client sends
    seed: int
    session: int = 0

    @property
    def goal(self) -> Goal:
        """The sum of the halves' activities at the end."""
        return Goal(unit="blocks", total=self.count)


async def connect(
    stack: Transport, remote: tuple[str, int], job: Job, activity: Activity
) -> Report:
    """The client's half.

    ``Report.samples_ns`` of the sender are the times at which it should have passed each block to
    the stack. Those of the receiver are the times at which it read the last octet of each block.
    """
    with Transfer(stack, activity, f"{job.seed} client", job.session) as transfer:
        streams = await transfer.connect(remote)
        return await _converse(transfer, streams, job, activity, sends=job.forward)


async def serve(stack: Transport, local: tuple[str, int], job: Job, activity: Activity) -> Report:
    """The server's half. Its report is like the client's."""
    async with listening(stack, local, activity) as listener:
        with Transfer(stack, activity, f"{job.seed} server", job.session) as transfer:
            streams = await transfer.accept(listener)
            return await _converse(transfer, streams, job, activity, sends=not job.forward)


async def _converse(
    transfer: Transfer, streams: Streams, job: Job, activity: Activity, *, sends: bool
) -> Report:
    reader, writer = streams
    samples_ns: list[int] = []
    first_due_ns = now_ns()
    for index in range(job.count):
        if sends:
            due_ns = first_due_ns + index * job.interval_ns
            samples_ns.append(await sleep_until(due_ns))
            await transfer.send(writer, job.block)
        else:
            await transfer.receive(reader, job.block)
            samples_ns.append(now_ns())
            activity.samples = len(samples_ns)
    return await transfer.complete(reader, writer, samples_ns)


def evaluate(sessions: Sequence[Both]) -> Findings:
    """Return the delays of the blocks."""
    delays_ns = tuple(delay for both in sessions for delay in _delays(both))
    return Findings(
        metrics={"blocks": len(delays_ns), **quantiles("block_delay", delays_ns)},
        samples_ns={"block_delay": delays_ns},
    )


def _delays(both: Both) -> Iterator[int]:
    ends = (both.client, both.server) if both.job.forward else (both.server, both.client)
    handed, arrived = (end.samples_ns for end in ends)
    for sent_ns, read_ns in zip(handed, arrived, strict=True):
        yield read_ns - sent_ns
