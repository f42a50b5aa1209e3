"""One direction of a wire as a sans-IO model with the meaning of the kernel's ``sch_netem``.

No clock, no sockets, no global randomness: time is passed in, and a seed decides every draw.  The
emulator runs it on the monotonic clock; a simulator can run the same class on a virtual one.

The life of a packet, in netem's order: duplicate, lose, corrupt, drop when the limit is reached;
then either jump the queue (reorder) or leave at

    ``max(arrival + delay, departure of the packet before) + length / rate``

Without a rate every packet has its own delay, so jitter reorders packets; with one they stay in
order.  As in netem, a departure is fixed on arrival: a changed rate or delay is for packets that
come later, and the limit counts all packets held.

One thing is done as tc-netem(8) says and not as the kernel does: correlated jitter.  The kernel
takes the correlated number modulo a small range, which undoes the correlation.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

from testbed.wire.distribution import LARGEST, SCALE, table
from testbed.wire.netem import (
    DEFAULT_LIMIT,
    ETHERNET_HEADER,
    Corrupt,
    Delay,
    Duplicate,
    GilbertElliott,
    Loss,
    Netem,
    RandomLoss,
    Rate,
    Reorder,
    WireCounters,
)
from testbed.wire.trace import TraceLink, load

_NS_PER_S: Final = 10**9

H = TypeVar("H")


class Frames(Protocol[H]):
    """What the model asks of the owner of the frames behind the handles."""

    def copy(self, handle: H) -> H | None:
        """Return another frame with the same content; ``None`` if there is no room for it."""

    def corrupt(self, handle: H, chance: float) -> H:
        """Invert one bit, chosen by ``chance`` (0 <= chance < 1), and return the frame."""

    def drop(self, handle: H) -> None:
        """Forget the frame."""


class LinkModel(Generic[H]):
    """What one direction of a wire does to a sequence of frames.

    :param netem: the options.
    :param mtu: of the link, for limits that are not in packets.
    :param seed: equal seeds and equal input give equal output.
    :param frames: owner of the frames behind the handles.
    :param now_ns: when the model starts; a trace begins then.
    :raises InputError: the trace of ``netem`` cannot be used.
    """

    def __init__(
        self, netem: Netem, *, mtu: int, seed: int | str, frames: Frames[H], now_ns: int = 0
    ) -> None:
        self._mtu = mtu
        self._random = random.Random(seed).random
        self._frames = frames
        self._fifo: deque[tuple[int, H, int]] = deque()  # (departure, handle, size), in order
        self._late: list[tuple[int, int, H, int]] = []  # a heap of those that came out of order
        self._ready: list[H] = []  # left, but not yet taken by dequeue()
        self._sequence = 0  # keeps equal departures in the order of arrival
        self._packets = self._bytes = 0  # held
        self._last_ns = 0  # latest departure given so far
        self._counts = dict.fromkeys(WireCounters.__struct_fields__, 0)
        self._netem = Netem()
        self._limit = DEFAULT_LIMIT
        self._delay_ns = 0
        self._jitter: Callable[[], int] | None = None
        self._rate: Rate | None = None
        self._trace: TraceLink | None = None
        self._lose: Callable[[], bool] | None = None
        self._duplicate: Callable[[], bool] | None = None
        self._corrupt: Callable[[], bool] | None = None
        self._reorder: Callable[[], bool] | None = None
        self._impaired = False
        self.change(netem, now_ns)

    @property
    def netem(self) -> Netem:
        """The options in force."""
        return self._netem

    @property
    def least_delay_ns(self) -> int:
        """No frame leaves earlier than this after its arrival."""
        delay = self._netem.delay
        if delay is None or self._netem.reorder is not None:
            return 0
        return max(0, delay.delay_ns - LARGEST * delay.jitter_ns)

    def change(self, netem: Netem, now_ns: int) -> None:
        """Put new options in force for the frames to come; nothing that is held is touched.

        An option that stays the same keeps its state: correlations, the Gilbert-Elliott state, the
        place in a trace.

        :raises InputError: the trace cannot be used; nothing is changed.
        """
        old = self._netem
        if netem.trace != old.trace:
            self._trace = TraceLink(load(netem.trace), now_ns) if netem.trace else None
        if netem.delay != old.delay:
            self._delay_ns = netem.delay.delay_ns if netem.delay else 0
            self._jitter = self._make_jitter(netem.delay)
        if netem.loss != old.loss:
            self._lose = self._make_loss(netem.loss)
        if netem.duplicate != old.duplicate:
            self._duplicate = self._make_event(netem.duplicate)
        if netem.corrupt != old.corrupt:
            self._corrupt = self._make_event(netem.corrupt)
        if netem.reorder != old.reorder:
            self._reorder = self._make_reorder(netem.reorder)
        self._rate = netem.rate
        trace_rate = self._trace.bits_per_second if self._trace else None
        self._limit = netem.limit_packets(self._mtu, bits_per_second=trace_rate)
        self._impaired = any((netem.loss, netem.duplicate, netem.corrupt))
        self._netem = netem

    def enqueue(self, handle: H, size: int, now_ns: int) -> None:
        """Take a frame of ``size`` octets (Ethernet header included) that arrived at ``now_ns``."""
        if self._impaired:
            self._enqueue_impaired(handle, size, now_ns, may_duplicate=True)
        else:
            self._enqueue_intact(handle, size, now_ns)

    def dequeue(self, now_ns: int) -> list[H]:
        """Return the frames that have left by ``now_ns``, in the order in which they left."""
        self._settle(now_ns)
        ready = self._ready
        self._ready = []
        return ready

    def next_departure_ns(self) -> int | None:
        """Return when the next frame leaves (it may be past), or ``None`` if none is held."""
        if self._ready:
            return 0
        if self._late and not (self._fifo and self._fifo[0][0] <= self._late[0][0]):
            return self._late[0][0]
        return self._fifo[0][0] if self._fifo else None

    def counters(self) -> WireCounters:
        """Return what happened so far and what is held now."""
        held = {"queued_packets": self._packets, "queued_bytes": self._bytes}
        return WireCounters(**self._counts | held)

    def _settle(self, now_ns: int) -> None:
        """Let all frames leave that are due, so that they are held no more."""
        fifo, late, ready = self._fifo, self._late, self._ready
        before = len(ready)
        octets = 0
        while True:
            if fifo and fifo[0][0] <= now_ns and not (late and late[0][0] < fifo[0][0]):
                _, handle, size = fifo.popleft()
            elif late and late[0][0] <= now_ns:
                _, _, handle, size = heapq.heappop(late)
            else:
                break
            ready.append(handle)
            octets += size
        packets = len(ready) - before
        self._packets -= packets
        self._bytes -= octets
        self._count_forwarded(packets, octets)

    def _count_forwarded(self, packets: int, octets: int) -> None:
        self._counts["forwarded_packets"] += packets
        self._counts["forwarded_bytes"] += octets

    def _full(self, now_ns: int) -> bool:
        if self._packets < self._limit:
            return False
        self._settle(now_ns)
        return self._packets >= self._limit

    def _enqueue_impaired(self, handle: H, size: int, now_ns: int, *, may_duplicate: bool) -> None:
        counts = self._counts
        twice = may_duplicate and self._duplicate is not None and self._duplicate()
        if self._lose is not None and self._lose():
            if not twice:
                counts["dropped_loss"] += 1
                self._frames.drop(handle)
                return
            twice = False  # as in netem: one of the two is lost, so one is left
        # The copy is made before the original is corrupted, and goes first.
        twin = self._frames.copy(handle) if twice and not self._full(now_ns) else None
        if self._corrupt is not None and self._corrupt():
            counts["corrupted"] += 1
            handle = self._frames.corrupt(handle, self._random())
        if twin is not None:
            counts["duplicated"] += 1
            self._enqueue_impaired(twin, size, now_ns, may_duplicate=False)
        self._enqueue_intact(handle, size, now_ns)

    def _enqueue_intact(self, handle: H, size: int, now_ns: int) -> None:
        if self._full(now_ns):
            self._counts["dropped_limit"] += 1
            self._frames.drop(handle)
            return
        if self._reorder is not None and self._reorder():
            self._settle(now_ns)  # who is due has left before
            self._ready.append(handle)
            self._counts["reordered"] += 1
            self._count_forwarded(1, size)
            return
        self._packets += 1
        self._bytes += size
        departure_ns = now_ns + self._delay_ns
        if self._jitter is not None:
            departure_ns = max(now_ns, departure_ns + self._jitter())
        if self._rate is not None:
            departure_ns = max(departure_ns, self._last_ns) + packet_time_ns(size, self._rate)
        elif self._trace is not None:
            departure_ns = self._trace.deliver(size - ETHERNET_HEADER, departure_ns)
        if departure_ns >= self._last_ns:
            self._last_ns = departure_ns
            self._fifo.append((departure_ns, handle, size))
        else:
            self._sequence += 1
            heapq.heappush(self._late, (departure_ns, self._sequence, handle, size))

    def _make_uniform(self, correlation: float) -> Callable[[], float]:
        """Return netem's ``get_crandom``: each number is partly the one before."""
        if not correlation:
            return self._random
        draw = self._random
        last = draw()

        def correlated() -> float:
            nonlocal last
            last = draw() * (1 - correlation) + last * correlation
            return last

        return correlated

    def _make_event(
        self, option: RandomLoss | Duplicate | Corrupt | Reorder | None
    ) -> Callable[[], bool] | None:
        if option is None:
            return None
        draw = self._make_uniform(option.correlation)
        probability = option.probability
        return lambda: draw() < probability

    def _make_jitter(self, delay: Delay | None) -> Callable[[], int] | None:
        """Return netem's ``tabledist``."""
        if delay is None or not delay.jitter_ns:
            return None
        draw = self._make_uniform(delay.correlation)
        jitter_ns = delay.jitter_ns
        values = table(delay.distribution)
        if values is None:
            return lambda: int((2 * draw() - 1) * jitter_ns)
        count = len(values)
        return lambda: jitter_ns * values[int(draw() * count)] // SCALE

    def _make_loss(self, loss: Loss | None) -> Callable[[], bool] | None:
        if isinstance(loss, GilbertElliott):
            return self._make_gilbert_elliott(loss)
        return self._make_event(loss)

    def _make_gilbert_elliott(self, loss: GilbertElliott) -> Callable[[], bool]:
        """Return netem's ``loss_gilb_ell``: the state a packet meets decides its fate."""
        draw = self._random
        bad = False

        def lose() -> bool:
            nonlocal bad
            chance = loss.one_minus_h if bad else loss.one_minus_k
            if draw() < (loss.r if bad else loss.p):
                bad = not bad
            return draw() < chance

        return lose

    def _make_reorder(self, reorder: Reorder | None) -> Callable[[], bool] | None:
        event = self._make_event(reorder)
        if reorder is None or event is None:
            return None
        gap = max(1, reorder.gap)
        counter = 0

        def jump() -> bool:
            nonlocal counter
            if counter < gap - 1 or not event():
                counter += 1
                return False
            counter = 0
            return True

        return jump


def packet_time_ns(size: int, rate: Rate) -> int:
    """Return how long a frame of ``size`` octets takes at ``rate`` (netem's ``packet_time_ns``)."""
    octets = max(0, size + rate.packet_overhead)
    if rate.cell_size:
        cells = -(-octets // rate.cell_size)
        octets = cells * (rate.cell_size + rate.cell_overhead)
    return octets * _NS_PER_S // (rate.bits_per_second // 8)
