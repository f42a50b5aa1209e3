"""The emulator's event loop: frames in, through the link models, out when they are due."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from typing import Final

import msgspec

from testbed.errors import SandboxError
from testbed.wire.emulator.libc import Poller, Vector
from testbed.wire.emulator.messages import Add, Direction
from testbed.wire.emulator.pool import Pool
from testbed.wire.emulator.port import Port, Receiver
from testbed.wire.model import LinkModel
from testbed.wire.netem import Netem, WireCounters

_MAX_EARLY_NS: Final = 400_000


class Lane:
    """One direction of a wire: from one port, through a model, to another port."""

    __slots__ = ("armed_ns", "model", "source", "target")

    def __init__(self, model: LinkModel[int], source: Port, target: Port) -> None:
        self.model = model
        self.source = source
        self.target = target
        self.armed_ns: int | None = None  # when the loop will look after it next

    def counters(self) -> WireCounters:
        """Return the model's counters, corrected by what the sockets know."""
        counters = self.model.counters()
        return msgspec.structs.replace(
            counters,
            forwarded_packets=counters.forwarded_packets - self.target.send_failures,
            forwarded_bytes=counters.forwarded_bytes - self.target.unsent_octets,
            dropped_send=self.target.send_failures,
            dropped_overrun=self.source.overrun(),
        )


class Loop:
    """All wires of one namespace.

    :param control_fd: watched beside the wires.
    :param on_control: called when it has input; returns whether to go on.
    """

    def __init__(self, control_fd: int, on_control: Callable[[], bool]) -> None:
        self._control_fd = control_fd
        self._on_control = on_control
        self._poller = Poller()
        self._poller.register(control_fd)
        self._pool = Pool()
        self._receiver = Receiver(self._pool)
        self._vector = Vector()
        self._by_fd: dict[int, Lane] = {}
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._timers: list[tuple[int, int, Lane]] = []
        self._sequence = 0
        self._lateness_ns = 0  # of recent wake-ups, on average

    def add(self, wire: Add) -> None:
        """Start to carry frames.

        :raises InputError: options that cannot be carried out.
        :raises SandboxError: there is such a link already, or no such interface.
        :raises OSError: an interface that cannot be listened to.
        """
        if (wire.link, "a") in self._lanes:
            raise SandboxError("it exists already")
        models = {
            toward: self._model(wire, toward, getattr(wire, f"toward_{toward}")) for toward in "ab"
        }
        a = Port(wire.a, self._pool)
        try:
            b = Port(wire.b, self._pool)
        except (OSError, SandboxError):
            a.close()
            raise
        for toward, source, target in (("a", b, a), ("b", a, b)):
            lane = Lane(models[toward], source, target)
            self._lanes[wire.link, toward] = lane
            self._by_fd[source.fd] = lane
            self._poller.register(source.fd)

    def change(self, link: str, toward: str, netem: Netem) -> None:
        """Change one direction's options in place.

        :raises InputError: options that cannot be carried out.
        :raises SandboxError: there is no such link or direction.
        """
        if (link, toward) not in self._lanes:
            raise SandboxError(f"there is no direction {toward!r} of it")
        self._lanes[link, toward].model.change(netem, time.monotonic_ns())

    def report(self) -> tuple[Direction, ...]:
        """Return the state of every direction."""
        return tuple(
            Direction(link=link, toward=toward, netem=lane.model.netem, counters=lane.counters())
            for (link, toward), lane in self._lanes.items()
        )

    def run(self) -> None:
        """Carry frames until the control connection ends."""
        timers, by_fd = self._timers, self._by_fd
        clock = time.monotonic_ns
        while True:
            for fd in self._wait():
                if fd == self._control_fd:
                    if not self._on_control():
                        return
                else:
                    self._receive(by_fd[fd])
            now_ns = clock()
            while timers and timers[0][0] <= now_ns:
                due_ns, _, lane = heapq.heappop(timers)
                if lane.armed_ns == due_ns:
                    lane.armed_ns = None
                    self._forward(lane, now_ns)

    def _wait(self) -> list[int]:
        """Wait for input or the next departure and return the descriptors that have input.

        Waking an idle processor takes time, in a virtual machine a few 100 us.  So the sleep ends
        earlier by what it was late before, and the rest of the time is spent polling: at most an
        eighth of the wait, so that precision never costs more than an eighth of a processor.
        """
        if not self._timers:
            return self._poller.wait(None)
        clock = time.monotonic_ns
        now_ns = clock()
        due_ns = self._timers[0][0]
        wait_ns = due_ns - now_ns
        if wait_ns <= 0:
            return self._poller.wait(0)
        early_ns = min(self._lateness_ns, wait_ns >> 3)
        ready = self._poller.wait(wait_ns - early_ns)
        if not ready:
            late_ns = clock() - (due_ns - early_ns)
            self._lateness_ns += (min(late_ns, _MAX_EARLY_NS) - self._lateness_ns) >> 2
            while not ready and clock() < due_ns:
                ready = self._poller.wait(0)
        return ready

    def _receive(self, lane: Lane) -> None:
        enqueue = lane.model.enqueue
        for handle, size, arrival_ns in zip(*self._receiver.receive(lane.source), strict=True):
            enqueue(handle, size, arrival_ns)
        self._forward(lane, time.monotonic_ns())

    def _forward(self, lane: Lane, now_ns: int) -> None:
        handles = lane.model.dequeue(now_ns)
        if handles:
            lane.target.send(self._vector, handles)
        next_ns = lane.model.next_departure_ns()
        if next_ns is not None and (lane.armed_ns is None or next_ns < lane.armed_ns):
            lane.armed_ns = next_ns
            self._sequence += 1
            heapq.heappush(self._timers, (next_ns, self._sequence, lane))

    def _model(self, wire: Add, toward: str, netem: Netem) -> LinkModel[int]:
        return LinkModel(
            netem,
            mtu=wire.mtu,
            seed=2 * wire.seed + (toward == "b"),
            frames=self._pool,
            now_ns=time.monotonic_ns(),
        )
