"""One direction of a link."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from testbed.sim.agenda import Agenda
from testbed.sim.frame import Frame
from testbed.sim.frames import Frames
from testbed.wire.medium import Side
from testbed.wire.model import LinkModel
from testbed.wire.netem import Delay, Limit, LimitUnit, Netem, Rate, WireCounters

# A link without a wire is a short cable that is faster than anything shaped.  It has no queue that
# could overflow, as a veth pair has none.  Without any delay, a round trip would take no time.
UNSHAPED: Final = Netem(
    rate=Rate(bits_per_second=10_000_000_000),
    delay=Delay(delay_ns=10_000),
    limit=Limit(value=1_000_000, unit=LimitUnit.PACKETS),
)

Tap = Callable[[Frame, int], None]


class Channel:
    """Carries frames from one interface to another through the wire's model.

    :param arrive: called with each frame at the far end, and the time.
    :param offload: whether segments larger than the MTU may pass.
    """

    def __init__(
        self,
        agenda: Agenda,
        netem: Netem,
        *,
        mtu: int,
        seed: str,
        wire_seed: int,
        side: Side | None,
        offload: bool,
        arrive: Callable[[Frame, int], None],
    ) -> None:
        self.mtu = mtu
        self.offload = offload
        self.up = True
        self._agenda = agenda
        self._model: LinkModel[Frame] = LinkModel(
            netem,
            mtu=mtu,
            seed=seed,
            frames=Frames(),
            now_ns=agenda.now,
            wire_seed=wire_seed,
            side=side,
        )
        self._arrive = arrive
        self._due: int | None = None  # the earliest departure that the agenda has
        self._refused = 0  # frames that found the far interface down
        self.taps_in: list[Tap] = []  # see frames at the near interface
        self.taps_out: list[Tap] = []  # ... and at the far one
        self.through: Tap = self.carry  # the function that takes a frame from the link

    @property
    def netem(self) -> Netem:
        """The options in force."""
        return self._model.netem

    @property
    def in_force(self) -> Netem:
        """The present values of options that change by themselves."""
        self._model.catch_up(self._agenda.now)
        return self._model.in_force

    def change(self, options: dict[str, str], now: int) -> None:
        """Change some options. Raises InputError."""
        self._model.change(self._model.netem.merge(options), now)

    def begin_traces(self, now: int) -> None:
        """Restart a trace and flapping. Raises InputError."""
        self._model.begin_traces(now)
        self._arm(now)

    def counters(self) -> WireCounters:
        """Return the counters and the present queue."""
        return msgspec.structs.replace(self._model.counters(), dropped_send=self._refused)

    def send(self, frame: Frame, now: int) -> None:
        """Send a frame. Without a carrier it is lost at once."""
        if not self.up:
            return
        for tap in self.taps_in:
            tap(frame, now)
        self.through(frame, now)

    def carry(self, frame: Frame, now: int) -> None:
        """Pass a frame to the wire's model."""
        self._model.enqueue(frame, frame.size, now)
        self._arm(now)

    def _arm(self, now: int) -> None:
        due = self._model.next_departure_ns()
        if due is None:
            return
        due = max(due, now)
        if self._due is None or due < self._due:
            self._due = due
            self._agenda.at(due, self._depart)

    def _depart(self, now: int) -> None:
        if self._due != now:  # an earlier departure has set the timer again
            return
        self._due = None
        for frame in self._model.dequeue(now):
            if not self.up:
                self._refused += 1
                continue
            for tap in self.taps_out:
                tap(frame, now)
            self._arrive(frame, now)
        self._arm(now)
