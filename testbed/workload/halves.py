"""The common result of the two halves of a flow, whether they ran in workers or in one process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from testbed.errors import WorkloadError
from testbed.records import MptcpInfoRecord, NstatRecord, Record, TcpInfoRecord
from testbed.topology.model import Family
from testbed.workload.base import PairedSpec
from testbed.workload.kinds import kind_of
from testbed.workload.messages import Doing
from testbed.workload.payload import Flow as Octets
from testbed.workload.result import OnProgress, Pause, Progress, Series, WorkloadResult
from testbed.workload.session import Session
from testbed.workload.stacks.model import Look
from testbed.workload.transfer import BIN_NS, Both, Report

# Any local address: MPTCP subflows also arrive at addresses the client did not connect to first.
ANY_ADDRESS: Final = {Family.IPV4: "0.0.0.0", Family.IPV6: "::"}  # noqa: S104 - nodes are private
_ROLES: Final = {"source": "client", "target": "server"}


class Tally:
    """Adds up the progress that the two ends report."""

    def __init__(self, sessions: Sequence[Session], on_progress: OnProgress) -> None:
        goals = [session.job.goal for session in sessions]
        totals = [goal.total for goal in goals if goal.total is not None]
        self._unit = goals[0].unit
        self._total = sum(totals) if len(totals) == len(goals) else None
        self._on_progress = on_progress
        self._done = {"client": 0, "server": 0}
        self._started_ns: int | None = None

    def client(self, doing: Doing) -> None:
        """Add a progress report of the client."""
        self._started_ns = doing.started_ns
        self._take("client", doing)

    def server(self, doing: Doing) -> None:
        """Add a progress report of the server."""
        self._take("server", doing)

    def _take(self, role: str, doing: Doing) -> None:
        self._done[role] = doing.octets if self._unit == "octets" else doing.samples
        if self._started_ns is not None:
            progress = Progress(
                started_ns=self._started_ns,
                now_ns=doing.now_ns,
                done=sum(self._done.values()),
                total=self._total,
                unit=self._unit,
            )
            self._on_progress(progress)


def paired(
    sessions: Sequence[Session], clients: Sequence[Report], servers: Sequence[Report]
) -> tuple[Both, ...]:
    """Pair the two halves of each session, and compare the sent with the received data.

    :raises WorkloadError: the sent and the received data differ, even in a single bit.
    """
    found = tuple(
        Both.of(session.job, reports)
        for session, *reports in zip(sessions, clients, servers, strict=True)
    )
    for number, both in enumerate(found, 1):
        which = f"connection {number}: " if len(found) > 1 else ""
        verify(both.client, both.server, which)
    return found


def verify(client: Report, server: Report, which: str = "") -> None:
    """Compare the sent with the received data in both directions.

    :raises WorkloadError: the sent and the received data differ, even in a single bit.
    """
    ways = (
        ("the client", client.sent, "the server", server.received),
        ("the server", server.sent, "the client", client.received),
    )
    for sender, sent, receiver, received in ways:
        if sent != received:
            raise WorkloadError(
                f"{which}{sender} sent {_said(sent)}, but {receiver} received {_said(received)}"
            )


def _said(flow: Octets) -> str:
    return f"{flow.octets} octets with CRC-32 {flow.digest}"


def result(
    workload: PairedSpec,
    sessions: Sequence[Both],
    cpu: Mapping[str, float],
    looks: Mapping[str, Sequence[Look]] | None = None,
    counters: Mapping[str, dict[str, int]] | None = None,
) -> WorkloadResult:
    """Combine the reports of the two ends.

    :param cpu: CPU seconds by the name of the metric, or empty if they do not measure a stack.
    :param looks: the observed states of the connections of each end, ``source`` and ``target``.
    :param counters: the counters of the stack of each end, unless it is the kernel's.
    """
    nodes = {"source": workload.source, "target": workload.target}
    findings = kind_of(sessions[0].job).evaluate(sessions)
    finished_ns = max(both.finished_ns for both in sessions)
    return WorkloadResult(
        started_ns=_started_ns(sessions),
        finished_ns=finished_ns,
        metrics=_common(sessions) | dict(cpu) | findings.metrics,
        series=tuple(_series(nodes, sessions)),
        pauses=tuple(_pauses(nodes, sessions)),
        records=(
            *(
                record
                for end, seen in (looks or {}).items()
                for look in seen
                for record in look_records(nodes[end], look)
            ),
            *(
                NstatRecord(t_ns=finished_ns, node=nodes[end], span="total", values=moved, own=True)
                for end, moved in (counters or {}).items()
                if moved
            ),
        ),
        samples_ns=findings.samples_ns,
        details={
            end: _details(node, [getattr(both, _ROLES[end]) for both in sessions])
            for end, node in nodes.items()
        },
    )


def _started_ns(sessions: Sequence[Both]) -> int:
    return min(both.client.started_ns for both in sessions)


def _common(sessions: Sequence[Both]) -> dict[str, float]:
    elapsed_ns = max(1, max(both.finished_ns for both in sessions) - _started_ns(sessions))
    reports = [report for both in sessions for report in (both.client, both.server)]
    opened = [both.client.connected_ns - both.client.started_ns for both in sessions]
    return {
        "goodput": sum(report.received.octets for report in reports) * 8e9 / elapsed_ns,
        "duration": elapsed_ns / 1e9,
        "connect_time": sum(opened) / len(opened) / 1e9,
        "longest_gap": max(report.longest_gap_ns for report in reports) / 1e9,
    }


def _series(nodes: Mapping[str, str], sessions: Sequence[Both]) -> Iterator[Series]:
    """Yield the octets that each end read on all its connections."""
    for end, node in nodes.items():
        reports = [getattr(both, _ROLES[end]) for both in sessions]
        reports = [report for report in reports if report.bins]
        if not reports:
            continue
        start_ns = min(report.started_ns for report in reports)
        bins: Counter[int] = Counter()
        for report in reports:
            first = (report.started_ns - start_ns) // BIN_NS
            for index, octets in enumerate(report.bins):
                bins[first + index] += octets
        yield Series(
            name="received",
            node=node,
            unit="octets",
            start_ns=start_ns,
            step_ns=BIN_NS,
            values=tuple(bins[index] for index in range(max(bins) + 1)),
        )


def _pauses(nodes: Mapping[str, str], sessions: Sequence[Both]) -> Iterator[Pause]:
    for end, node in nodes.items():
        for both in sessions:
            for length_ns, end_ns in getattr(both, _ROLES[end]).pauses:
                yield Pause(node=node, end_ns=end_ns, length_ns=length_ns)


def look_records(node: str, look: Look) -> Iterator[Record]:
    """Yield a look at a connection as records of probes."""
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


def _details(node: str, reports: Sequence[Report]) -> dict[str, Any]:
    """Return the details of the first and the further connections of an end."""
    first, *further = (
        {"node": node, **connection} for report in reports for connection in _connections(report)
    )
    return {**first, "further": further} if further else first


def _connections(report: Report) -> Iterator[dict[str, Any]]:
    yield {
        "sent": msgspec.to_builtins(report.sent),
        "received": msgspec.to_builtins(report.received),
        "view": report.view,
        "used": report.used,
    }
    for connection in report.further:
        yield msgspec.to_builtins(connection)
