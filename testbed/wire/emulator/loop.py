"""The event loop of the emulator: frames in, through the link models, and out when due."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import msgspec

from testbed.errors import InputError, SandboxError
from testbed.libc import BATCH, Poller, Vector
from testbed.middlebox.box import Work
from testbed.wire.emulator.messages import Add, Direction
from testbed.wire.emulator.pool import Pool
from testbed.wire.emulator.port import Port, Receiver
from testbed.wire.medium import Medium, Side
from testbed.wire.model import LinkModel
from testbed.wire.netem import Netem, WireCounters

if TYPE_CHECKING:
    from testbed.wire.emulator.passage import Enter, Passage

_MAX_EARLY_NS: Final = 400_000
_NAP_NS: Final = 2_000_000
_LATE_NS: Final = _NAP_NS // 2  # how late a nap may end
_PATIENCE_NS: Final = 2 * _NAP_NS  # limit of a nap and the remaining wait


class Lane:
    """One direction of a wire: from one port, through a model, to another port."""

    __slots__ = (
        "armed_ns", "enter", "model", "offload", "passage", "poller", "source", "target",
        "together", "toward",
    )  # fmt: skip

    def __init__(self, model: LinkModel[int], source: Port, target: Port, *, offload: bool) -> None:
        self.model = model
        self.enter: Enter = model.enqueue  # takes each frame that has come
        self.passage: Passage | None = None  # the middleboxes of the wire
        self.toward = ""  # the end toward which frames go
        self.together: tuple[Lane, ...] = (self,)  # lanes that frames of this one may leave by
        self.source = source
        self.target = target
        self.offload = offload
        self.armed_ns: int | None = None  # the next time at which the loop serves this port
        self.poller: Poller | None = None  # the one that watches its source

    def lead_through(self, passage: Passage, toward: str, together: tuple[Lane, ...]) -> None:
        """Pass all frames through middleboxes before the model."""
        self.passage, self.toward = passage, toward
        self.enter = passage.entry(toward)
        self.together = together

    def next_ns(self) -> int | None:
        """Return the time of the next spontaneous action, or ``None``."""
        due_ns = self.model.next_departure_ns()
        box_ns = None if self.passage is None else self.passage.next_ns()
        return due_ns if box_ns is None or (due_ns is not None and due_ns < box_ns) else box_ns

    def counters(self) -> WireCounters:
        """Return the counters of the model, corrected by those of the sockets."""
        counters = self.model.counters()
        no_memory = 0 if self.passage is None else self.passage.lost[self.toward]
        return msgspec.structs.replace(
            counters,
            forwarded_packets=counters.forwarded_packets - self.target.send_failures,
            forwarded_bytes=counters.forwarded_bytes - self.target.unsent_octets,
            dropped_send=self.target.send_failures,
            dropped_overrun=self.source.overrun() + no_memory,
        )


class Loop:
    """All wires of one namespace.

    A wake-up is the greatest cost. So the loop wakes up when a frame must leave, not when one
    arrives: frames that are held for a while anyway are read at such times. While frames are held,
    only the *prompt* poller ends a sleep. The *patient* poller, with the sources of all lanes with
    a delay, is checked afterwards.

    :param control_fd: a descriptor to watch beside the wires.
    :param on_control: called when it has input. It returns whether to continue.
    """

    def __init__(self, control_fd: int, on_control: Callable[[], bool]) -> None:
        self._control_fd = control_fd
        self._on_control = on_control
        self._prompt, self._patient, self._any = Poller(), Poller(), Poller()
        self._prompt.register(control_fd)
        self._any.register(self._prompt.fileno())
        self._any.register(self._patient.fileno())
        self._pool = Pool()
        self._receiver = Receiver(self._pool)
        self._vector = Vector()
        self._by_fd: dict[int, Lane] = {}
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._timers: list[tuple[int, int, Lane]] = []
        self._sequence = 0
        self._behind = False  # a source may have more to read
        self._lateness_ns = 0  # average lateness of recent wake-ups

    def add(self, wire: Add) -> None:
        """Start to forward frames.

        :raises InputError: the options are not supported.
        :raises SandboxError: there is such a link already, or no such interface.
        :raises OSError: an interface cannot be opened.
        """
        if (wire.link, "a") in self._lanes:
            raise SandboxError("it already exists")
        toward_a, toward_b = Medium().sides() if wire.half_duplex else (None, None)
        models = {
            toward: self._model(wire, toward, netem, side)
            for toward, netem, side in (
                ("a", wire.toward_a, toward_a),
                ("b", wire.toward_b, toward_b),
            )
        }
        passage = _passage(wire, self._pool, models)
        a = Port(wire.a, self._pool)
        try:
            b = Port(wire.b, self._pool)
        except (OSError, SandboxError):
            a.close()
            raise
        lanes = {
            toward: Lane(models[toward], source, target, offload=wire.offload)
            for toward, source, target in (("a", b, a), ("b", a, b))
        }
        for toward, lane in lanes.items():
            if passage is not None:
                lane.lead_through(passage, toward, tuple(lanes.values()))
            self._lanes[wire.link, toward] = lane
            self._by_fd[lane.source.fd] = lane
            self._watch(lane)

    def change(self, link: str, toward: str, netem: Netem) -> None:
        """Change the options of one direction in place.

        :raises InputError: the options are not supported.
        :raises SandboxError: the link or direction does not exist.
        """
        if (link, toward) not in self._lanes:
            raise SandboxError(f"it has no direction {toward!r}")
        lane = self._lanes[link, toward]
        _check(netem, offload=lane.offload)
        lane.model.change(netem, time.monotonic_ns())
        self._watch(lane)

    def begin_traces(self) -> None:
        """Restart traces and flapping in all directions at one moment.

        :raises InputError: a trace cannot be read any more.
        """
        now_ns = time.monotonic_ns()
        for lane in self._lanes.values():
            lane.model.begin_traces(now_ns)
            self._forward(lane, now_ns)

    def report(self) -> tuple[Direction, ...]:
        """Return the state of each direction."""
        now_ns = time.monotonic_ns()
        for lane in self._lanes.values():
            lane.model.catch_up(now_ns)
        return tuple(
            Direction(
                link=link,
                toward=toward,
                netem=lane.model.netem,
                in_force=lane.model.in_force,
                half_duplex=lane.model.half_duplex,
                counters=lane.counters(),
            )
            for (link, toward), lane in self._lanes.items()
        )

    def work(self) -> dict[str, tuple[Work, ...]]:
        """Return the counters of the middleboxes of each wire."""
        return {
            link: lane.passage.work()
            for (link, toward), lane in self._lanes.items()
            if lane.passage is not None and toward == "a"
        }

    def run(self) -> None:
        """Forward frames until the control connection ends."""
        while True:
            ready = self._wait()
            self._forward_due()
            self._behind = False
            for fd in ready:
                if fd != self._control_fd:
                    self._receive(self._by_fd[fd])
            # Last, so that a change is for the frames that come after it.
            if self._control_fd in ready and not self._on_control():
                return

    def _wait(self) -> list[int]:
        """Wait for input or the next departure; return the descriptors with input.

        Waking an idle processor takes time, in a virtual machine a few 100 us. So a sleep before a
        departure ends early by the lateness of the last sleeps, and the rest of the time is spent
        polling. Polling takes at most an eighth of the wait, so precision costs at most an eighth
        of a processor. A nap, after which nothing is due yet, may be late.
        """
        if not self._timers:
            if not self._patient.watched:
                return self._prompt.wait(None)
            self._any.wait(None)
            return self._prompt.wait(0) + self._patient.wait(0)
        clock = time.monotonic_ns
        now_ns = clock()
        until_ns = now_ns if self._behind else self._timers[0][0]
        if until_ns - now_ns > _NAP_NS + _LATE_NS:
            return self._looked(self._prompt.wait(_NAP_NS))
        early_ns = min(self._lateness_ns, max(0, until_ns - now_ns) >> 3)
        ready = self._prompt.wait(until_ns - early_ns - now_ns)
        if not ready:
            late_ns = clock() - (until_ns - early_ns)
            late_ns = max(0, min(late_ns, _MAX_EARLY_NS))
            self._lateness_ns += (late_ns - self._lateness_ns) >> 2
            while not ready and clock() < until_ns:
                ready = self._prompt.wait(0)
        return self._looked(ready)

    def _looked(self, ready: list[int]) -> list[int]:
        """Return the ready descriptors, including the patient sources."""
        return ready + self._patient.wait(0) if self._patient.watched else ready

    def _watch(self, lane: Lane) -> None:
        """Register the source of a lane with the poller that suits its options."""
        poller = self._patient if lane.model.least_delay_ns >= _PATIENCE_NS else self._prompt
        if poller is not lane.poller:
            if lane.poller is not None:
                lane.poller.unregister(lane.source.fd)
            poller.register(lane.source.fd)
            lane.poller = poller

    def _receive(self, lane: Lane) -> None:
        if lane.passage is None and lane.model.passes_on:
            handles, octets = self._receiver.take(lane.source)
            lane.model.pass_on(len(handles), octets)
            lane.target.send(self._vector, handles)
        else:
            batch = self._receiver.receive(lane.source)
            handles, enter = batch.handles, lane.enter
            for handle, size, arrival_ns in zip(*batch, strict=True):
                enter(handle, size, arrival_ns)
            self._forward(lane, time.monotonic_ns())
        if len(handles) == BATCH:
            self._behind = True

    def _forward_due(self) -> None:
        timers = self._timers
        now_ns = time.monotonic_ns()
        while timers and timers[0][0] <= now_ns:
            due_ns, _, lane = heapq.heappop(timers)
            if lane.armed_ns == due_ns:
                lane.armed_ns = None
                self._forward(lane, now_ns)

    def _forward(self, lane: Lane, now_ns: int) -> None:
        """Send the due frames. With middleboxes do so in both directions, as they may answer."""
        if lane.passage is not None:
            lane.passage.advance(now_ns)
        for each in lane.together:
            self._forward_one(each, now_ns)

    def _forward_one(self, lane: Lane, now_ns: int) -> None:
        handles = lane.model.dequeue(now_ns)
        if handles:
            lane.target.send(self._vector, handles)
        next_ns = lane.next_ns()
        if next_ns is not None and (lane.armed_ns is None or next_ns < lane.armed_ns):
            lane.armed_ns = next_ns
            self._sequence += 1
            heapq.heappush(self._timers, (next_ns, self._sequence, lane))

    def _model(self, wire: Add, toward: str, netem: Netem, side: Side | None) -> LinkModel[int]:
        _check(netem, offload=wire.offload)
        return LinkModel(
            netem,
            mtu=wire.mtu,
            seed=f"{wire.seed} {wire.link} {toward}",  # each direction has its own random numbers
            frames=self._pool,
            now_ns=time.monotonic_ns(),
            wire_seed=wire.seed,
            side=side,
        )


def _passage(wire: Add, pool: Pool, models: Mapping[str, LinkModel[int]]) -> Passage | None:
    if not wire.middlebox:
        return None
    from testbed.wire.emulator import passage  # noqa: PLC0415 - few wires have a middlebox

    return passage.made(wire, pool, models)


def _check(netem: Netem, *, offload: bool) -> None:
    if offload and netem.corrupt:
        raise InputError(
            "corrupt: not possible with offload, where checksums are computed later",
            hint="set offload: false",
        )
