"""Traces and flapping on directions of wires in the kernel, by changes in place."""

from __future__ import annotations

import time
from typing import Final

import msgspec

from testbed.netlink.codec import Request
from testbed.sandbox.netlink import direction
from testbed.wire import schedule
from testbed.wire.netem import ETHERNET_HEADER, Netem

_NS_PER_S: Final = 10**9
_LITTLE_NS: Final = 10**7


class Played:
    """Plays the scheduled changes of one direction on the kernel's qdiscs when they are due.

    :param index: the index of the interface that sends the frames.
    """

    def __init__(
        self,
        netem: Netem,
        plan: schedule.Schedule,
        index: int,
        mtu: int,
        seed: int,
        wire_seed: int,
        *,
        at_sender: bool,
    ) -> None:
        self._at_sender = at_sender
        self._netem = netem
        self._plan = plan
        self._wire_seed = wire_seed
        self._index, self._mtu, self._seed = index, mtu, seed
        self._requests: dict[tuple[Netem, Netem], list[Request]] = {}  # a trace repeats
        self._again_ns = schedule.NEVER  # when to set the substitute for a rate of 0 again
        self.in_force = self._now()

    @classmethod
    def of(
        cls, netem: Netem, index: int, mtu: int, seed: int, wire_seed: int, *, at_sender: bool
    ) -> Played | None:
        """Return the player of a direction, or None if it has no scheduled changes.

        :param at_sender: as for :func:`testbed.sandbox.netlink.direction.layers`.
        :raises InputError: the trace cannot be used.
        """
        plan = schedule.of(netem, seed=wire_seed, epoch_ns=time.monotonic_ns())
        if plan is None:
            return None
        return cls(netem, plan, index, mtu, seed, wire_seed, at_sender=at_sender)

    @property
    def next_ns(self) -> int:
        """The time of the next change."""
        return min(self._plan.next_ns, self._again_ns)

    def until(self, now_ns: int) -> list[Request]:
        """Return the requests for the changes that are due."""
        while self._plan.next_ns <= now_ns:
            self._plan.advance()
        return self._changed()

    def change(self, netem: Netem) -> list[Request]:
        """Return the requests that apply other options with the same trace and flapping.

        :raises InputError: the options cannot be combined with the trace.
        """
        self._plan.change(netem)
        self._netem = netem
        return self._changed()

    def begin(self) -> list[Request]:
        """Restart the schedule now; return the requests that apply its initial options."""
        now_ns = time.monotonic_ns()
        plan = schedule.of(self._netem, seed=self._wire_seed, epoch_ns=now_ns)
        self._plan = plan or self._plan
        return self._changed()

    def _changed(self) -> list[Request]:
        before, self.in_force = self.in_force, self._now()
        if before == self.in_force:
            return []
        key = before, self.in_force
        if key not in self._requests:
            self._requests[key] = direction.change(
                self._index,
                before,
                self.in_force,
                self._mtu,
                self._seed,
                at_sender=self._at_sender,
            )
        return self._requests[key]

    def _now(self) -> Netem:
        """Return the present options in a form that the kernel supports.

        A class of htb cannot have a rate of 0. At a rate at which a full frame takes until the next
        change, few frames pass and the others wait. At a lower rate the debt for a frame would last
        beyond that change. So the rate is set again after each half of the remaining time.
        """
        found = self._plan.in_force
        self._again_ns = schedule.NEVER
        if not self._plan.held or found.rate is None:
            return found
        frame_bits = 8 * (self._mtu + ETHERNET_HEADER)
        now_ns = time.monotonic_ns()
        left_ns = max(1, self._plan.next_ns - now_ns)
        if left_ns > _LITTLE_NS:
            self._again_ns = now_ns + left_ns // 2
        slowest = max(8, min(found.rate.bits_per_second, frame_bits * _NS_PER_S // left_ns))
        rate = msgspec.structs.replace(found.rate, bits_per_second=slowest // 8 * 8)
        return msgspec.structs.replace(found, rate=rate)
