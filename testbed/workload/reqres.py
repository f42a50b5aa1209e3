"""Request and response: the time from a request to the last octet of its response."""

from __future__ import annotations

import msgspec

from testbed.workload.stacks import Stack, Streams
from testbed.workload.metrics import quantiles
from testbed.workload.transfer import (
    Activity,
    Goal,
    Listener,
    Report,
    Transfer,
    now_ns,
    sleep_until,
)


class Job(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="reqres"):
    """``count`` transactions, each due ``interval_ns`` after the one before.

    With ``reconnect`` each has its own connection, whose handshake is part of its latency.
    """

    request: int  # octets
    response: int  # octets
    count: int
    interval_ns: int
    reconnect: bool
    seed: int

    @property
    def goal(self) -> Goal:
        """What the halves' activities add up to at the end."""
        return Goal(unit="transactions", total=self.count)


async def connect(stack: Stack, remote: tuple[str, int], job: Job, activity: Activity) -> Report:
    """The client's half: ``Report.samples_ns`` are the latencies."""
    transfer = Transfer(stack, activity, f"{job.seed} client")
    latencies: list[int] = []
    streams: Streams | None = None
    for index in range(job.count):
        await sleep_until(transfer.started_ns + index * job.interval_ns)
        began_ns = now_ns()
        if streams is None:
            streams = await transfer.connect(remote)
            began_ns = began_ns if job.reconnect else now_ns()
        reader, writer = streams
        await transfer.send(writer, job.request)
        await transfer.receive(reader, job.response)
        latencies.append(now_ns() - began_ns)
        activity.samples = len(latencies)
        if job.reconnect or index == job.count - 1:
            await transfer.finish(reader, writer)
            streams = None
    return transfer.report(latencies)


async def serve(stack: Stack, local: tuple[str, int], job: Job, activity: Activity) -> Report:
    """The server's half."""
    connections, each = (job.count, 1) if job.reconnect else (1, job.count)
    async with Listener(stack, local, activity) as listener:
        streams = await listener.accept()
        transfer = Transfer(stack, activity, f"{job.seed} server")
        transfer.connected()
        for index in range(connections):
            reader, writer = streams if index == 0 else await listener.accept()
            for _ in range(each):
                await transfer.receive(reader, job.request)
                await transfer.send(writer, job.response)
            await transfer.finish(reader, writer)
    return transfer.report()


def metrics(job: Job, client: Report, server: Report) -> dict[str, float]:
    """Return what this kind adds to the metrics every kind has."""
    del job, server
    return {"transactions": len(client.samples_ns), **quantiles("latency", client.samples_ns)}
