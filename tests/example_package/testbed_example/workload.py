"""A workload: the server sends back what the client sends, again and again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from testbed.metric import Better, Metric, Source
from testbed.units import parse_size
from testbed.workload import kinds
from testbed.workload.base import PairedSpec
from testbed.workload.kinds import PairedKind
from testbed.workload.metrics import COMMON, quantiles
from testbed.workload.result import Findings
from testbed.workload.session import Session
from testbed.workload.sizes import Quantity, parsed
from testbed.workload.stacks.model import Transport
from testbed.workload.transfer import Activity, Both, Goal, Report, Transfer, listening, now_ns


class Job(kinds.Job, msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="echo"):
    """The job of both halves; sizes are in octets."""

    size: int
    rounds: int
    seed: int

    @property
    def goal(self) -> Goal:
        """What the progress display counts."""
        return Goal(unit="transactions", total=self.rounds)


class Echo(PairedSpec, frozen=True, kw_only=True, tag="echo"):
    """The workload in YAML: ``rounds`` times, ``size`` octets go there and back."""

    size: Quantity = "1KB"
    rounds: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 10

    def __post_init__(self) -> None:
        self.check_times()
        self.sessions(seed=0)

    def sessions(self, seed: int) -> tuple[Session, ...]:
        """Return one session, which begins when the flow does."""
        size = parsed(parse_size, "size", self.size)
        return (Session(at_ns=self.start_ns, job=Job(size=size, rounds=self.rounds, seed=seed)),)


async def connect(
    stack: Transport, remote: tuple[str, int], job: Job, activity: Activity
) -> Report:
    """The client's half.  ``Transfer`` makes the payload, and keeps a digest of both directions."""
    times: list[int] = []
    with Transfer(stack, activity, f"{job.seed} client") as transfer:
        reader, writer = await transfer.connect(remote)
        for _ in range(job.rounds):
            began = now_ns()
            await transfer.send(writer, job.size)
            await transfer.receive(reader, job.size)
            times.append(now_ns() - began)
            activity.samples = len(times)
        return await transfer.complete(reader, writer, times)


async def serve(stack: Transport, local: tuple[str, int], job: Job, activity: Activity) -> Report:
    """The server's half."""
    async with listening(stack, local, activity) as listener:
        with Transfer(stack, activity, f"{job.seed} server") as transfer:
            reader, writer = await transfer.accept(listener)
            for _ in range(job.rounds):
                await transfer.receive(reader, job.size)
                await transfer.send(writer, job.size)
            return await transfer.complete(reader, writer)


def evaluate(sessions: Sequence[Both]) -> Findings:
    """Return what only this kind can say; goodput and the like are there already."""
    times = [value for both in sessions for value in both.client.samples_ns]
    return Findings(metrics=quantiles("echo_time", times))


def _metric(suffix: str, which: str) -> Metric:
    return Metric(
        name=f"echo_time_{suffix}",
        unit="s",
        better=Better.LOWER,
        definition=f"{which} time from sending a message to having all of it back",
        source=Source.WORKLOAD,
    )


METRICS = (
    _metric("p50", "median"),
    _metric("p99", "99th percentile of the"),
    _metric("max", "longest"),
)

ECHO = PairedKind(
    spec=Echo,
    job=Job,
    connect=connect,
    serve=serve,
    evaluate=evaluate,
    gives=(*(metric.name for metric in METRICS), *COMMON),
    metrics=METRICS,
)
