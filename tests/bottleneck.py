"""A bottleneck with a queue that is watched, and TCP connections that keep it full.

Whole endpoints of the stack in virtual time, and nothing else: data goes through one queue, ACKs
come back after the delay of the path.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

from testbed.packet.address import Address, Flow
from testbed.packet.codec import split
from testbed.packet.segment import CE, Segment
from testbed.stack.connection import Connected
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.endpoint import TcpEndpoint

MS = 1_000_000
SECOND = 1_000_000_000
MBIT = 1_000_000
HEADERS = 66  # octets of a frame that are no payload
GOODPUT = 1448 / 1514  # share of the rate of a wire
_SERVER = Address("10.0.0.2", 80)
_WRITE = bytes(1 << 16)


class Bottleneck:
    """A path with one slow wire.

    :param rate: of that wire, bit/s; ``rtt`` of the path, without a queue, nanoseconds.
    :param queue: what it holds, nanoseconds; ``mark`` where it begins to mark segments of ECN.
    :param loss: probability that a segment of data vanishes.
    :ivar longest: the longest queue of the last :meth:`fill`, nanoseconds.
    :ivar departures: if it is a list, when each segment of data has left, and its octets.
    """

    def __init__(
        self,
        config: TcpConfig,
        *,
        rate: int,
        rtt: int = 20 * MS,
        queue: int = 200 * MS,
        mark: int | None = None,
        loss: float = 0.0,
        seed: int = 1,
    ) -> None:
        self.client = TcpEndpoint(config, b"c" * 16)
        self.server = TcpEndpoint(config, b"s" * 16)
        self.server.listen(_SERVER)
        self.now = SECOND
        self.rate, self.rtt, self.queue, self.mark, self.loss = rate, rtt, queue, mark, loss
        self.longest = 0
        self.departures: list[tuple[int, int]] | None = None
        self._random = Random(seed).random
        self._free_at = 0
        self._wire: list[tuple[int, int, TcpEndpoint, Segment]] = []
        self._count = 0
        self._senders: list[Any] = []
        self._delivered: dict[Flow, int] = {}

    def start(self) -> Any:
        """Begin a flow; return its sender."""
        flow = Flow(Address("10.0.0.1", 40000 + len(self._senders)), _SERVER)
        sender = self.client.connect(flow, self.now)
        self._senders.append(sender)
        self._delivered[flow] = 0
        return sender

    def fill(self, seconds: float, watch: Callable[[], None] = lambda: None) -> list[int]:
        """Go on for a time, with all flows sending; return what each delivers, in bit/s.

        :param watch: is called whenever something has happened.
        """

        def work() -> None:
            watch()
            self._write()

        before = list(self._delivered.values())
        self.longest = 0
        self.run(seconds, work)
        after = self._delivered.values()
        return [int((now - then) * 8 / seconds) for now, then in zip(after, before, strict=True)]

    def run(self, seconds: float, work: Callable[[], None] = lambda: None) -> None:
        """Go on for a time, with the application doing ``work`` whenever something happens."""
        end = self.now + int(seconds * SECOND)
        while True:
            work()
            self._flush()
            timers = [self.client.next_timer(), self.server.next_timer()]
            times = [time for time in timers if time is not None]
            times += [self._wire[0][0]] if self._wire else []
            if not times or min(times) > end:
                break
            self._advance(min(times))
        self.now = end

    def _advance(self, now: int) -> None:
        self.now = now = max(self.now, now)
        while self._wire and self._wire[0][0] <= now:
            _, _, endpoint, segment = heapq.heappop(self._wire)
            endpoint.receive(segment, now)
        for endpoint in (self.client, self.server):
            timer = endpoint.next_timer()
            if timer is not None and timer <= now:
                endpoint.handle_timer(now)

    def _write(self) -> None:
        for sender in self._senders:
            if sender.room >= len(_WRITE):
                sender.send(_WRITE)

    def _flush(self) -> None:
        for segment in self.client.segments_to_send(self.now):
            for piece in split(segment):
                self._queue(piece)
        for segment in self.server.segments_to_send(self.now):
            self._carry(segment, self.client, self.now + self.rtt // 2)
        while self.client.next_event() is not None:
            pass
        while (found := self.server.next_event()) is not None:
            connection, event = found
            if isinstance(event, Connected):
                continue
            flow = Flow(connection.flow.remote, connection.flow.local)
            while data := connection.read(1 << 20):
                self._delivered[flow] += len(data)

    def _queue(self, segment: Segment) -> None:
        """Have a segment of data wait for its turn, be marked, or get lost."""
        size = len(segment.payload) + HEADERS
        waits = max(0, self._free_at - self.now)
        if self.departures is not None and segment.payload:
            self.departures.append((self.now, size))
        self.longest = max(self.longest, waits)
        if waits > self.queue or (segment.payload and self._random() < self.loss):
            return
        if self.mark is not None and waits > self.mark and segment.ecn:
            segment = msgspec.structs.replace(segment, ecn=CE)
        self._free_at = self.now + waits + size * 8 * SECOND // self.rate
        self._carry(segment, self.server, self._free_at + self.rtt // 2)

    def _carry(self, segment: Segment, to: TcpEndpoint, at: int) -> None:
        self._count += 1
        heapq.heappush(self._wire, (at, self._count, to, segment))
