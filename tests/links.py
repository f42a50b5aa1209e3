"""Links, and flows that keep them full: congestion controls without a TCP around them.

Every path is one bottleneck with a queue and losses at random.  Nothing is sent again and ACKs are
never lost, so this costs a tenth of a whole stack, and seeds by the dozen are affordable.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable
from random import Random

from testbed.stack.tcp.congestion import CONTROLS
from testbed.stack.tcp.congestion.control import CongestionControl, Group, Sample

MSS = 1000
SECOND = 1_000_000_000
MS = 1_000_000
DUPLICATES = 3


class Link:
    """A bottleneck.

    :param rate: segments a second.
    :param rtt: of the whole path, without a queue.
    :param queue: in segments.
    """

    def __init__(self, rate: int, rtt: int, queue: int, loss: float = 0.0) -> None:
        self.interval = SECOND // rate
        self.rtt, self.limit, self.loss = rtt, queue * self.interval, loss
        self.dropped = 0
        self._free = 0

    def arrival(self, now: int, random: Random) -> int | None:
        """Return when the ACK of a segment sent now comes; ``None``: it is lost."""
        begin = max(now, self._free)
        if begin - now > self.limit or random.random() < self.loss:
            self.dropped += 1
            return None
        self._free = begin + self.interval
        return self._free + self.rtt


class Subflow:
    """One subflow, which always has data to send."""

    def __init__(self, world: World, link: Link, control: CongestionControl) -> None:
        self.control, self.link, self.delivered = control, link, 0
        self._world = world
        self._numbers = itertools.count()
        self._flight: deque[tuple[int, int]] = deque()  # number, and when it was sent
        self._point = -1  # recovery ends where this is acknowledged
        self._smoothed = 0
        self._round, self._round_ends = 0, 0
        self._heard = 0
        self.open = True

    def start(self, now: int) -> None:
        """Begin."""
        self.control.start(MSS, 10)
        self._heard = now
        self.send(now)
        self._world.at(now + SECOND, self._watch)

    def send(self, now: int) -> None:
        """Fill the window."""
        while self.open and len(self._flight) * MSS < self.control.window:
            number = next(self._numbers)
            self._flight.append((number, now))
            self.control.on_sent(MSS, len(self._flight) * MSS, now)
            at = self.link.arrival(now, self._world.random)
            if at is not None:
                self._world.at(
                    at, lambda then, number=number, sent=now: self._ack(number, sent, then)
                )

    def _watch(self, now: int) -> None:
        """Notice that no ACK comes."""
        if self._flight and now - self._heard >= SECOND:
            self.control.on_timeout(self.control.window, now, again=False)
            self._flight.clear()
            self._heard = now
            self.send(now)
        self._world.at(now + SECOND // 5, self._watch)

    def _ack(self, number: int, sent: int, now: int) -> None:
        self._heard = now
        self.delivered += 1
        flight = len(self._flight)
        lost = 0
        while self._flight and self._flight[0][0] <= number - DUPLICATES:
            self._flight.popleft()
            lost += 1
        if self._flight and self._flight[0][0] == number:
            self._flight.popleft()
        else:  # up to two before it may still come
            self._flight = deque(entry for entry in self._flight if entry[0] != number)
        if lost and number > self._point:
            self.control.on_loss(self.control.window, now)
            self._point = number + len(self._flight)
        rtt = now - sent
        self._smoothed += (rtt - self._smoothed) // 8 if self._smoothed else rtt
        if sent >= self._round_ends:
            self._round, self._round_ends = self._round + 1, now
        self.control.on_ack(
            Sample(
                now=now,
                delivered=MSS,
                lost=lost * MSS,
                growable=number > self._point,
                flight=flight * MSS,
                in_flight=len(self._flight) * MSS,
                rtt=rtt,
                smoothed=self._smoothed,
                minimum=self.link.rtt,
                rate=0,
                round=self._round,
                app_limited=False,
            )
        )
        self.send(now)


class World:
    """Links, flows and a clock."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now = 0
        self._events: list[tuple[int, int, Callable[[int], None]]] = []
        self._numbers = itertools.count()

    def at(self, time: int, what: Callable[[int], None]) -> None:
        """Have something happen."""
        heapq.heappush(self._events, (time, next(self._numbers), what))

    def flow(self, name: str, *links: Link) -> list[Subflow]:
        """Return a flow of a control, with a path over each link, that begins within 0.1 s."""
        group = Group()
        paths = []
        for link in links:
            control = CONTROLS[name](group)
            group.join(control)
            paths.append(Subflow(self, link, control))
            self.at(self.now + self.random.randrange(SECOND // 10), paths[-1].start)
        return paths

    def run(self, seconds: float) -> None:
        """Go on for so long."""
        end = self.now + int(seconds * SECOND)
        while self._events and self._events[0][0] <= end:
            self.now, _, what = heapq.heappop(self._events)
            what(self.now)
        self.now = end
