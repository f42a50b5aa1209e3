"""Request and response: the time from a request to the last octet of its response."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from testbed.workload import kinds
from testbed.workload.metrics import quantiles
from testbed.workload.result import Findings
from testbed.workload.stacks.model import Transport
from testbed.workload.transfer import (
    CHUNK,
    Activity,
    Both,
    Goal,
    Report,
    Transfer,
    listening,
    now_ns,
    sleep_until,
)


class Job(kinds.Job, msgspec.Struct, frozen=True, kw_only=True, tag_field=kinds.TAG, tag="reqres"):
    """``count`` transactions, each due ``interval_ns`` after the one before.

    With ``reconnect`` each transaction has its own connection, whose handshake is part of the
    latency. The stack receives the request when it opens the connection, so that TCP Fast Open can
    send it.

    :param until_ns: the time after the start from which no transaction begins.
    :param service_ns: how long the server works on a request before it answers.
    """

    request: int  # octets
    response: int  # octets
    count: int
    interval_ns: int
    until_ns: int | None = None
    reconnect: bool
    service_ns: int = 0
    seed: int
    session: int = 0

    @property
    def goal(self) -> Goal:
        """The sum of the halves' activities at the end."""
        return Goal(unit="transactions", total=self.count)


async def connect(
    stack: Transport, remote: tuple[str, int], job: Job, activity: Activity
) -> Report:
    """The client's half: ``Report.samples_ns`` are the latencies."""
    latencies: list[int] = []
    with Transfer(stack, activity, f"{job.seed} client", job.session) as transfer:
        over_ns = math.inf if job.until_ns is None else transfer.started_ns + job.until_ns
        for index in range(job.count):
            await sleep_until(transfer.started_ns + index * job.interval_ns)
            began_ns = now_ns()
            at_once = min(job.request, CHUNK) if job.reconnect else 0
            if index == 0 or job.reconnect:
                reader, writer = await transfer.connect(remote, at_once)
                began_ns = began_ns if job.reconnect else now_ns()
            elif began_ns >= over_ns:
                transfer.half_close(writer)
                break
            await transfer.send(writer, job.request - at_once)
            await transfer.receive(reader, job.response)
            latencies.append(now_ns() - began_ns)
            activity.samples = len(latencies)
            if job.reconnect and index < job.count - 1:
                await transfer.shut(reader, writer)
        return await transfer.complete(reader, writer, latencies)


async def serve(stack: Transport, local: tuple[str, int], job: Job, activity: Activity) -> Report:
    """The server's half."""
    connections, each = (job.count, 1) if job.reconnect else (1, job.count)
    async with listening(stack, local, activity) as listener:
        with Transfer(stack, activity, f"{job.seed} server", job.session) as transfer:
            for index in range(connections):
                reader, writer = await transfer.accept(listener)
                for _ in range(each):
                    if not await transfer.receive(reader, job.request, may_end=True):
                        break
                    await sleep_until(now_ns() + job.service_ns)
                    await transfer.send(writer, job.response)
                if index < connections - 1:
                    await transfer.shut(reader, writer)
            return await transfer.complete(reader, writer)


def evaluate(sessions: Sequence[Both]) -> Findings:
    """Return the latencies."""
    latencies = tuple(value for both in sessions for value in both.client.samples_ns)
    return Findings(
        metrics={"transactions": len(latencies), **quantiles("latency", latencies)},
        samples_ns={"latency": latencies},
    )
