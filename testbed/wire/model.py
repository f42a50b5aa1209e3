"""One direction of a wire as a sans-IO model with the meaning of the kernel's ``sch_netem``.

It has no clock, sockets or global randomness: time is passed in, and a seed determines all random
numbers. The emulator runs it on the monotonic clock, the simulator on a virtual one.

The life of a packet, in netem's order: duplicate, lose, corrupt, drop when the limit is reached;
then either jump the queue (reorder) or leave at

    ``max(arrival + delay, departure of the packet before) + length / rate``

Without a rate each packet has its own delay, so jitter reorders packets. With a rate they stay in
order. As in netem, the departure is fixed at arrival: a changed rate or delay applies to later
packets, and the limit counts all held packets.

Correlated jitter follows tc-netem(8) instead of the kernel: the kernel takes the correlated number
modulo a small range, which removes the correlation.
"""

from __future__ import annotations

import functools
import operator
import random
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

from testbed.wire import schedule
from testbed.wire.bottleneck import Bottleneck
from testbed.wire.chances import Chances
from testbed.wire.departures import Departures
from testbed.wire.distribution import LARGEST
from testbed.wire.medium import Side
from testbed.wire.netem import (
    DEFAULT_LIMIT,
    ETHERNET_HEADER,
    Netem,
    Rate,
    WireCounters,
)
from testbed.wire.queues.discipline import Surroundings, Waiting
from testbed.wire.queues.kinds import Queue
from testbed.wire.schedule import Schedule
from testbed.wire.servers import Opportunities, Server, SharedRate, TokenBucket, packet_time_ns
from testbed.wire.slots import Slots
from testbed.wire.trace import Trace, TraceLink, load

H = TypeVar("H")

_NOTHING: Final = Netem()


class Frames(Protocol[H]):
    """The services of the owner of the frames."""

    def copy(self, handle: H) -> H | None:
        """Return a copy of the frame; ``None`` if memory is exhausted."""

    def corrupt(self, handle: H, chance: float) -> H:
        """Invert one bit, chosen by ``chance`` (0 <= chance < 1), and return the frame."""

    def drop(self, handle: H) -> None:
        """Free the frame."""

    def mark(self, handle: H) -> H | None:
        """Set CE and return the frame; ``None`` if it is not ECN-capable."""

    def flow(self, handle: H) -> int:
        """Return a number that the packets of one flow share."""


class LinkModel(Generic[H]):
    """The effects of one direction of a wire on a sequence of frames.

    :param netem: the options.
    :param mtu: the MTU of the link, for limits that are not in packets.
    :param seed: equal seeds and equal input give equal output.
    :param frames: the owner of the frames of the handles.
    :param now_ns: the start of the model and of its trace.
    :param wire_seed: the seed of common random events of both directions.
    :param side: the side of the medium, if both directions share one.
    :raises InputError: the trace of ``netem`` cannot be used.
    """

    def __init__(
        self,
        netem: Netem,
        *,
        mtu: int,
        seed: int | str,
        frames: Frames[H],
        now_ns: int = 0,
        wire_seed: int = 0,
        side: Side | None = None,
    ) -> None:
        self._mtu = mtu
        self._wire_seed = wire_seed
        self._side = side
        self._occupy = operator.add if side is None else side.reserve
        self._schedule: Schedule | None = None
        self._random = random.Random(seed).random
        self._chances = Chances(self._random)
        self._frames = frames
        self._held: Departures[H] = Departures()
        self._ready: list[H] = []  # left, but not yet taken by dequeue()
        self._packets = self._bytes = 0  # held
        self._counts = dict.fromkeys(WireCounters.__struct_fields__, 0)
        self._netem = self.in_force = Netem()
        self._limit = DEFAULT_LIMIT
        self._delay_ns = 0
        self._jitter: Callable[[], int] | None = None
        self._rate: Rate | None = None
        self._trace: TraceLink | None = None
        self._lose: Callable[[], bool] | None = None
        self._duplicate: Callable[[], bool] | None = None
        self._corrupt: Callable[[], bool] | None = None
        self._reorder: Callable[[], bool] | None = None
        self._mark_lost = False
        self._impaired = False
        self._plain = False
        self._accept = self._enqueue_intact
        self._bottleneck: Bottleneck[H] | None = None  # stays, once there was a queue
        self._around: Surroundings[H] = Surroundings(
            random=self._random,
            drop_full=functools.partial(self._drop_waiting, "dropped_limit"),
            drop_early=functools.partial(self._drop_waiting, "dropped_early"),
            mark=frames.mark,
            flow=frames.flow,
            frame=mtu + ETHERNET_HEADER,
        )
        self.change(netem, now_ns)

    @property
    def netem(self) -> Netem:
        """The options. ``in_force`` has the present values of those that change by themselves."""
        return self._netem

    @property
    def half_duplex(self) -> bool:
        """Whether it shares a medium with the other direction."""
        return self._side is not None

    @property
    def least_delay_ns(self) -> int:
        """The smallest time between arrival and departure of a frame."""
        delay = self._netem.delay
        if delay is None or self._netem.reorder is not None:
            return 0
        return max(0, delay.delay_ns - LARGEST * delay.jitter_ns)

    def change(self, netem: Netem, now_ns: int) -> None:
        """Apply new options to later frames. Held frames are not affected.

        An unchanged option keeps its state: correlations, the Gilbert-Elliott state, the position
        in a trace.

        :raises InputError: the trace cannot be used. Nothing is changed.
        """
        if self._bottleneck is not None:
            self._settle(now_ns)  # settle by the old options
        if (netem.trace, netem.flap) != (self._netem.trace, self._netem.flap):
            self._schedule = schedule.of(netem, seed=self._wire_seed, epoch_ns=now_ns)
        elif self._schedule is not None:
            self._schedule.change(netem)
        if self._schedule is None:
            self._apply(netem, now_ns)
        else:
            self._play(now_ns)
            self._apply_schedule(self._schedule, now_ns)
        self._netem = netem

    def begin_traces(self, now_ns: int) -> None:
        """Restart a trace and flapping.

        :raises InputError: the trace can no longer be read.
        """
        netem = self._netem
        if netem.trace is None and netem.flap is None:
            return
        self.catch_up(now_ns)
        self._schedule = schedule.of(netem, seed=self._wire_seed, epoch_ns=now_ns)
        if self._schedule is None:
            self._trace = _opportunities(netem.trace, now_ns)
            self._apply(netem, now_ns)
        else:
            self._apply_schedule(self._schedule, now_ns)

    def catch_up(self, now_ns: int) -> None:
        """Process everything until now, so that counters and options are up to date."""
        self._play(now_ns)
        self._settle(now_ns)

    def _play(self, now_ns: int) -> None:
        """Apply the changes of the schedule until now, one after the other."""
        plan = self._schedule
        while plan is not None and plan.next_ns <= now_ns:
            at_ns = plan.next_ns
            self._settle(at_ns)
            plan.advance()
            self._apply_schedule(plan, at_ns)

    def _apply_schedule(self, plan: Schedule, now_ns: int) -> None:
        self._apply(plan.in_force, now_ns)
        self._impaired = True  # every frame asks for the time
        if self._bottleneck is not None and isinstance(self._bottleneck.server, TokenBucket):
            self._bottleneck.server.hold(now_ns, held=plan.held)

    def _apply(self, netem: Netem, now_ns: int) -> None:
        old, chances = self.in_force, self._chances
        if netem.trace != old.trace:
            self._trace = _opportunities(netem.trace, now_ns)
        if netem.delay != old.delay:
            self._delay_ns = netem.delay.delay_ns if netem.delay else 0
            self._jitter = chances.jitter(netem.delay)
        if netem.loss != old.loss:
            self._lose = chances.loss(netem.loss)
            self._mark_lost = netem.loss is not None and netem.loss.ecn
        if netem.slot != old.slot:
            self._settle(now_ns)
            slot = netem.slot
            self._held.slots = None if slot is None else Slots(slot, self._random, now_ns)
        if netem.duplicate != old.duplicate:
            self._duplicate = chances.event(netem.duplicate)
        if netem.corrupt != old.corrupt:
            self._corrupt = chances.event(netem.corrupt)
        if netem.reorder != old.reorder:
            self._reorder = chances.reorder(netem.reorder)
        self._rate = netem.rate
        trace_rate = self._trace.bits_per_second if self._trace else None
        self._limit = netem.limit_packets(self._mtu, bits_per_second=trace_rate)
        self._impaired = any((netem.loss, netem.duplicate, netem.corrupt))
        self._plain = netem == _NOTHING and self._schedule is None
        self.in_force = netem
        if netem.queue is None:
            self._accept = self._enqueue_intact
        else:
            self._accept = self._enqueue_queued
            self._change_queue(netem.queue, now_ns)

    def enqueue(self, handle: H, size: int, now_ns: int) -> None:
        """Process a frame of ``size`` octets, with Ethernet header, that arrived at ``now_ns``."""
        if self._impaired:
            self._enqueue_impaired(handle, size, now_ns, may_duplicate=True)
        else:
            self._accept(handle, size, now_ns)

    @property
    def passes_on(self) -> bool:
        """Whether a frame leaves at once, as no option is set and no frame is held."""
        return self._plain and not self._packets and not self._ready

    def pass_on(self, packets: int, octets: int) -> None:
        """Count frames that have left at once, while :attr:`passes_on`."""
        self._count_forwarded(packets, octets)

    def dequeue(self, now_ns: int) -> list[H]:
        """Return the frames that have left by ``now_ns``, in order of departure."""
        if self._schedule is not None:
            self._play(now_ns)
        self._settle(now_ns)
        ready = self._ready
        self._ready = []
        return ready

    def next_departure_ns(self) -> int | None:
        """Return when the next frame leaves, possibly in the past; ``None`` if none is held."""
        if self._ready:
            return 0
        if self._bottleneck is None:
            return self._held.next_ns()
        times = [self._held.next_ns(), self._bottleneck.next_ns()]
        if self._schedule is not None and self._packets and self._bottleneck.depends_on_rate:
            # Waiting frames may leave sooner from that time on.
            times.append(self._schedule.next_ns)
        return min((at_ns for at_ns in times if at_ns is not None), default=None)

    def counters(self) -> WireCounters:
        """Return the counters and the held frames."""
        held = {"queued_packets": self._packets, "queued_bytes": self._bytes}
        held["marked"] = self._around.marked
        if self._bottleneck is not None:
            held["waiting_bytes"] = self._bottleneck.waiting_octets
        return WireCounters(**self._counts | held)

    def _settle(self, now_ns: int) -> None:
        """Let all due frames leave."""
        ready = self._ready
        before = len(ready)
        octets = self._held.leave(ready, now_ns)
        if self._bottleneck is not None:
            for handle, size in self._bottleneck.leaving(now_ns):
                ready.append(handle)
                octets += size
        packets = len(ready) - before
        self._packets -= packets
        self._bytes -= octets
        self._count_forwarded(packets, octets)

    def _count_forwarded(self, packets: int, octets: int) -> None:
        self._counts["forwarded_packets"] += packets
        self._counts["forwarded_bytes"] += octets

    def _stays_full(self, now_ns: int) -> bool:
        """Let all due frames leave, as the limit is reached; return whether it still is."""
        self._settle(now_ns)
        return self._packets >= self._limit

    def _enqueue_impaired(self, handle: H, size: int, now_ns: int, *, may_duplicate: bool) -> None:
        if self._schedule is not None:
            self._play(now_ns)
        counts = self._counts
        twice = may_duplicate and self._duplicate is not None and self._duplicate()
        if self._lose is not None and self._lose():
            marked = self._around.mark(Waiting(handle, size, now_ns)) if self._mark_lost else None
            if marked is not None:
                handle = marked.handle
            elif not twice:
                counts["dropped_loss"] += 1
                self._frames.drop(handle)
                return
            else:
                twice = False  # as in netem: one of the two is lost, so one is left
        # The copy is made before the original is corrupted, and goes first.
        twice = twice and not (self._packets >= self._limit and self._stays_full(now_ns))
        twin = self._frames.copy(handle) if twice else None
        if self._corrupt is not None and self._corrupt():
            counts["corrupted"] += 1
            handle = self._frames.corrupt(handle, self._random())
        if twin is not None:
            counts["duplicated"] += 1
            self._enqueue_impaired(twin, size, now_ns, may_duplicate=False)
        self._accept(handle, size, now_ns)

    def _enqueue_intact(self, handle: H, size: int, now_ns: int) -> None:
        if self._packets >= self._limit and self._stays_full(now_ns):
            self._counts["dropped_limit"] += 1
            self._frames.drop(handle)
            return
        if self._reorder is not None and self._reorder():
            self._settle(now_ns)  # frames that are due leave first
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
            departure_ns = max(departure_ns, self._held.last_ns)
            departure_ns = self._occupy(departure_ns, packet_time_ns(size, self._rate))
        elif self._trace is not None:
            departure_ns = self._trace.deliver(size - ETHERNET_HEADER, departure_ns)
        held = self._held
        if held.slots is None:
            held.put(departure_ns, handle, size)
            return
        self._settle(now_ns)
        held.put(departure_ns, handle, size)
        held.look(now_ns)

    def _enqueue_queued(self, handle: H, size: int, now_ns: int) -> None:
        """Process a frame for the queue, for which only the time of entry is fixed."""
        assert self._bottleneck is not None  # noqa: S101 - made by the change that leads here
        ready_ns = now_ns
        if self._reorder is not None and self._reorder():
            self._counts["reordered"] += 1
        else:
            ready_ns += self._delay_ns
            if self._jitter is not None:
                ready_ns = max(now_ns, ready_ns + self._jitter())
        self._packets += 1
        self._bytes += size
        self._bottleneck.put(handle, size, ready_ns)

    def _drop_waiting(self, counter: str, item: Waiting[H]) -> None:
        self._counts[counter] += 1
        self._packets -= 1
        self._bytes -= item.size
        self._frames.drop(item.handle)

    def _change_queue(self, queue: Queue, now_ns: int) -> None:
        packets = self.in_force.queue_packets(self._mtu, bits_per_second=self._bits_per_second())
        if self._bottleneck is None:
            self._bottleneck = Bottleneck(
                queue,
                self._server(None, now_ns),
                self._around,
                packets=packets,
                octet_ns=lambda: 8e9 / self._bits_per_second(),
                now_ns=now_ns,
            )
        else:
            self._bottleneck.server = self._server(self._bottleneck.server, now_ns)
            self._bottleneck.change(queue, packets=packets, now_ns=now_ns)

    def _server(self, old: Server | None, now_ns: int) -> Server:
        if self._rate is None:
            assert self._trace is not None  # noqa: S101 - Netem: a queue needs one of them
            return Opportunities(self._trace)
        if isinstance(old, TokenBucket):
            old.change(self._rate, now_ns)
            return old
        if self._side is not None:
            return SharedRate(self._rate, now_ns, self._side)
        return TokenBucket(self._rate, now_ns)

    def _bits_per_second(self) -> int:
        if self._rate is not None:
            return self._rate.bits_per_second
        return self._trace.bits_per_second if self._trace else 0


def _opportunities(path: str | None, now_ns: int) -> TraceLink | None:
    """Return a trace of opportunities that starts now."""
    if path is None:
        return None
    loaded = load(path)
    return TraceLink(loaded, now_ns) if isinstance(loaded, Trace) else None
