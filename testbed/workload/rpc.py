"""Open-loop requests: each is due at its time, whether or not earlier ones have been answered.

A response time starts when the request was due. A closed-loop client waits for a response before it
sends the next request, and measures from the time of sending. So it omits the time for which a slow
response delayed the next requests. This error is known as coordinated omission. Schroeder, Wierman
and Harchol-Balter, "Open Versus Closed: A Cautionary Tale", NSDI 2006, explain why the two kinds of
clients see different systems.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from testbed.workload import kinds
from testbed.workload.alongside import alongside
from testbed.workload.metrics import TAIL, quantiles
from testbed.workload.result import Findings
from testbed.workload.stacks.model import Transport
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

Call = tuple[int, int, int]  # due time, octets of the request, octets of the response


class Job(kinds.Job, msgspec.Struct, frozen=True, kw_only=True, tag_field=kinds.TAG, tag="rpc"):
    """The calls of one connection, in order.

    :param calls: the calls. Due times are nanoseconds after the connection is open.
    """

    calls: tuple[Call, ...]
    seed: int
    session: int = 0

    @property
    def goal(self) -> Goal:
        """The sum of the halves' activities at the end."""
        return Goal(unit="transactions", total=len(self.calls))


async def connect(
    stack: Transport, remote: tuple[str, int], job: Job, activity: Activity
) -> Report:
    """The client's half: ``Report.samples_ns`` are the response times.

    It sends each request when it is due, or as soon afterwards as the stack accepts it.
    """
    times_ns: list[int] = []
    with Transfer(stack, activity, f"{job.seed} client", job.session) as transfer:
        reader, writer = await transfer.connect(remote)
        open_ns = now_ns()

        async def ask() -> None:
            for after_ns, request, _ in job.calls:
                await sleep_until(open_ns + after_ns)
                await transfer.send(writer, request)

        async def hear() -> None:
            for after_ns, _, response in job.calls:
                await transfer.receive(reader, response)
                times_ns.append(now_ns() - open_ns - after_ns)
                activity.samples = len(times_ns)

        await alongside(ask(), hear())
        return await transfer.complete(reader, writer, times_ns)


async def serve(stack: Transport, local: tuple[str, int], job: Job, activity: Activity) -> Report:
    """The server's half. It answers the requests of a connection in order."""
    async with listening(stack, local, activity) as listener:
        with Transfer(stack, activity, f"{job.seed} server", job.session) as transfer:
            reader, writer = await transfer.accept(listener)
            for _, request, response in job.calls:
                await transfer.receive(reader, request)
                await transfer.send(writer, response)
            return await transfer.complete(reader, writer)


def evaluate(sessions: Sequence[Both]) -> Findings:
    """Return the response times of all connections."""
    times_ns = tuple(value for both in sessions for value in both.client.samples_ns)
    return Findings(
        metrics={"transactions": len(times_ns), **quantiles("response_time", times_ns, TAIL)},
        samples_ns={"response_time": times_ns},
    )
