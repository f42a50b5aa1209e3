"""Concurrent connections of one half, with one report.

Each piece of payload has a number, and is the beginning of a separate stream. So it does not matter
which connection carries it.
"""

from __future__ import annotations

import asyncio
import heapq
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from testbed.records import Connection, View
from testbed.workload.alongside import alongside
from testbed.workload.pauses import PAUSES
from testbed.workload.payload import Flow
from testbed.workload.stacks.model import Streams, Transport
from testbed.workload.transfer import BIN_NS, Activity, Listener, Report, Transfer


class Several:
    """The connections of a half.

    As a context manager it aborts the connections that are open when the half fails.

    :param seed: the seed of the data this half sends, as for
        :class:`~testbed.workload.transfer.Transfer`.
    """

    def __init__(self, stack: Transport, activity: Activity, seed: str) -> None:
        self._stack = stack
        self._activity = activity
        self._seed = seed
        self._lines: list[Line] = []
        self._sent: dict[int, Flow] = {}
        self._received: dict[int, Flow] = {}

    def __enter__(self) -> Several:
        return self

    def __exit__(self, *_: object) -> None:
        for line in self._lines:
            line.abort()

    async def connect(self, remote: tuple[str, int]) -> Line:
        """Open a connection."""
        transfer = Transfer(self._stack, self._activity, self._seed)
        return self._opened(transfer, await transfer.connect(remote))

    async def accept(self, listener: Listener) -> Line:
        """Wait for a connection."""
        transfer = Transfer(self._stack, self._activity, self._seed)
        return self._opened(transfer, await transfer.accept(listener))

    def _opened(self, transfer: Transfer, streams: Streams) -> Line:
        line = Line(transfer, streams, self._sent, self._received)
        self._lines.append(line)
        return line

    def look(self) -> None:
        """Get the stack's view of all open connections."""
        for line in self._lines:
            line.transfer.look()

    async def shut(self) -> None:
        """Close all open connections."""
        await alongside(*(line.shut() for line in self._lines))

    def report(self, samples_ns: Sequence[int] = ()) -> Report:
        """Return the report of this half."""
        reports = [line.transfer.report() for line in self._lines]
        first, *further = (_seen(report) for report in reports)
        started_ns = min(report.started_ns for report in reports)
        pauses = [pause for report in reports for pause in report.pauses]
        return Report(
            started_ns=started_ns,
            connected_ns=min(report.connected_ns for report in reports),
            finished_ns=max(report.finished_ns for report in reports),
            sent=_sum(self._sent),
            received=_sum(self._received),
            longest_gap_ns=max(report.longest_gap_ns for report in reports),
            pauses=tuple(sorted(heapq.nlargest(PAUSES, pauses), key=lambda pause: pause[1])),
            bins=_bins(reports, started_ns),
            samples_ns=tuple(samples_ns),
            view=reports[0].view,
            used=first.used,
            further=tuple(further),
        )


class Line:
    """A connection of a half.

    :param sent: the sent payload by number; ``received`` is the received payload.
    """

    def __init__(
        self,
        transfer: Transfer,
        streams: Streams,
        sent: dict[int, Flow],
        received: dict[int, Flow],
    ) -> None:
        self.transfer = transfer
        self.reader, self.writer = streams
        self._sent = sent
        self._received = received
        self._shut: asyncio.Task[None] | None = None

    def begin(self, number: int) -> None:
        """Start to send or receive the payload with a number."""
        self.transfer.turn_to(number)

    def end(self, number: int) -> None:
        """End the payload with a number, and record its sent and received octets."""
        sent, received = self.transfer.turn_to(0)
        if sent.octets:
            self._sent[number] = sent
        if received.octets:
            self._received[number] = received

    def begin_to_shut(self) -> asyncio.Task[None]:
        """Start to close the connection in both directions; :meth:`shut` waits for the end."""
        if self._shut is None:
            self._shut = asyncio.ensure_future(self.transfer.shut(self.reader, self.writer))
        return self._shut

    async def shut(self) -> None:
        """Close the connection in both directions, and wait until it is closed."""
        await self.begin_to_shut()

    def abort(self) -> None:
        """Abort the connection, if it is open."""
        if self._shut is not None:
            self._shut.cancel()
        self.transfer.abort()


def _seen(report: Report) -> Connection:
    return Connection(view=msgspec.convert(report.view, View), used=report.used)


def _sum(flows: dict[int, Flow]) -> Flow:
    """Return the total octets, and a digest of all digests in the order of their numbers."""
    digest = 0
    for number, flow in sorted(flows.items()):
        digest = zlib.crc32(f"{number} {flow.octets} {flow.digest}\n".encode(), digest)
    return Flow(octets=sum(flow.octets for flow in flows.values()), digest=f"{digest:08x}")


def _bins(reports: Iterable[Report], started_ns: int) -> tuple[int, ...]:
    bins: Counter[int] = Counter()
    for report in reports:
        first = (report.started_ns - started_ns) // BIN_NS
        for index, octets in enumerate(report.bins):
            bins[first + index] += octets
    return tuple(bins[index] for index in range(max(bins, default=-1) + 1))
