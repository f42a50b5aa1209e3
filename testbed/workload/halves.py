"""What the two halves of a built-in kind say together, wherever they ran."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from testbed.errors import WorkloadError
from testbed.records import MptcpInfoRecord, Record, TcpInfoRecord
from testbed.topology.model import Family
from testbed.workload.kinds import Job, kind_of
from testbed.workload.messages import Doing
from testbed.workload.payload import Flow
from testbed.workload.result import OnProgress, Pause, Progress, Series, WorkloadResult
from testbed.workload.spec import Bulk, ReqRes, Stream
from testbed.workload.stacks import Look
from testbed.workload.transfer import BIN_NS, Activity, Report, now_ns

# Any local address: with MPTCP, subflows arrive at addresses other than the one that was dialled.
ANY_ADDRESS: Final = {Family.IPV4: "0.0.0.0", Family.IPV6: "::"}  # noqa: S104 - nodes are private


def doing(activity: Activity) -> Doing:
    """Return how far a half is now."""
    return Doing(
        started_ns=activity.started_ns or 0,
        now_ns=now_ns(),
        octets=activity.octets,
        samples=activity.samples,
    )


class Tally:
    """Adds up what the two halves say."""

    def __init__(self, job: Job, on_progress: OnProgress) -> None:
        self._goal = job.goal
        self._on_progress = on_progress
        self._done = {"client": 0, "server": 0}
        self._started_ns: int | None = None

    def client(self, doing: Doing) -> None:
        """Take what the client says."""
        self._started_ns = doing.started_ns
        self._take("client", doing)

    def server(self, doing: Doing) -> None:
        """Take what the server says."""
        self._take("server", doing)

    def _take(self, role: str, doing: Doing) -> None:
        self._done[role] = doing.octets if self._goal.unit == "octets" else doing.samples
        if self._started_ns is not None:
            progress = Progress(
                started_ns=self._started_ns,
                now_ns=doing.now_ns,
                done=sum(self._done.values()),
                total=self._goal.total,
                unit=self._goal.unit,
            )
            self._on_progress(progress)


def verify(client: Report, server: Report) -> None:
    """Compare what was sent with what was received, both ways.

    :raises WorkloadError: they differ, by as little as one bit.
    """
    ways = (
        ("the client", client.sent, "the server", server.received),
        ("the server", server.sent, "the client", client.received),
    )
    for sender, sent, receiver, received in ways:
        if sent != received:
            raise WorkloadError(
                f"{sender} sent {_said(sent)}, but {receiver} received {_said(received)}"
            )


def _said(flow: Flow) -> str:
    return f"{flow.octets} octets with CRC-32 {flow.digest}"


def result(
    workload: Bulk | ReqRes | Stream,
    job: Job,
    client: Report,
    server: Report,
    cpu: Mapping[str, float],
) -> WorkloadResult:
    """Put together what the two halves report.

    :param cpu: CPU seconds, by the name of the metric; empty where they say nothing of a stack.
    """
    ends = {"source": (workload.source, client), "target": (workload.target, server)}
    findings = kind_of(job).evaluate(job, client, server)
    return WorkloadResult(
        started_ns=client.started_ns,
        finished_ns=_finished_ns(client, server),
        metrics=_common(client, server) | dict(cpu) | findings.metrics,
        series=tuple(_received(node, report) for node, report in ends.values() if report.bins),
        pauses=tuple(
            Pause(node=node, end_ns=end_ns, length_ns=length_ns)
            for node, report in ends.values()
            for length_ns, end_ns in report.pauses
        ),
        records=tuple(
            record
            for node, report in ends.values()
            for look in report.looks
            for record in _records(node, look)
        ),
        samples_ns=findings.samples_ns,
        details={end: _details(node, report) for end, (node, report) in ends.items()},
    )


def _common(client: Report, server: Report) -> dict[str, float]:
    elapsed_ns = max(1, _finished_ns(client, server) - client.started_ns)
    return {
        "goodput": (client.received.octets + server.received.octets) * 8e9 / elapsed_ns,
        "duration": elapsed_ns / 1e9,
        "connect_time": (client.connected_ns - client.started_ns) / 1e9,
        "longest_gap": max(client.longest_gap_ns, server.longest_gap_ns) / 1e9,
    }


def _finished_ns(client: Report, server: Report) -> int:
    return max(client.finished_ns, server.finished_ns)


def _received(node: str, report: Report) -> Series:
    return Series(
        name="received",
        node=node,
        unit="octets",
        start_ns=report.started_ns,
        step_ns=BIN_NS,
        values=report.bins,
    )


def _records(node: str, look: Look) -> Iterator[Record]:
    about: dict[str, Any] = {
        "t_ns": look.t_ns,
        "node": node,
        "local": look.local,
        "remote": look.remote,
    }
    if look.view.mptcp_info is not None:
        yield MptcpInfoRecord(mptcp=look.view.mptcp_info, **about)
    if look.view.tcp_info is not None:
        yield TcpInfoRecord(tcp=look.view.tcp_info, **about)


def _details(node: str, report: Report) -> dict[str, Any]:
    return {
        "node": node,
        "sent": msgspec.to_builtins(report.sent),
        "received": msgspec.to_builtins(report.received),
        "view": report.view,
    }
