"""The slots of ``sch_netem``: due packets leave in bursts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from testbed.wire.chances import Chances
from testbed.wire.netem import Delay, Slot

_ANY: Final = 2**31 - 1  # packets or octets, where there is no bound


class Slots:
    """Determines when packets may leave, as netem_dequeue() of net/sched/sch_netem.c does.

    The kernel attempts to send when a packet arrives, when one has left, and when the first one is
    due and its slot has started. :meth:`look` is such an attempt.

    :param slot: the option.
    :param draw: returns numbers from 0 (inclusive) to 1.
    :param now_ns: the start of the first slot.
    """

    def __init__(self, slot: Slot, draw: Callable[[], float], now_ns: int) -> None:
        self._slot = slot
        self._draw = draw
        self._jitter = None
        if slot.jitter_ns:
            spread = Delay(
                delay_ns=max(1, slot.delay_ns),
                jitter_ns=slot.jitter_ns,
                distribution=slot.distribution,
            )
            self._jitter = Chances(draw).jitter(spread)
        self._fill()
        self.next_ns = now_ns

    def look(self, due_ns: int, now_ns: int) -> None:
        """Restart the next slot if it started before the first packet is due."""
        if self.next_ns < due_ns:
            self._renew(now_ns)

    def left(self, size: int, now_ns: int) -> None:
        """Count a packet that has left, and advance to the next slot if this one is used up."""
        self._packets -= 1
        self._octets -= size
        if self._packets <= 0 or self._octets <= 0:
            self._renew(now_ns)

    def _renew(self, now_ns: int) -> None:
        slot = self._slot
        if self._jitter is None:
            wait_ns = slot.least_ns + int(self._draw() * (slot.most_ns - slot.least_ns))
        else:
            wait_ns = slot.delay_ns + self._jitter()
        self.next_ns = now_ns + wait_ns
        self._fill()

    def _fill(self) -> None:
        self._packets = self._slot.packets or _ANY
        self._octets = self._slot.octets or _ANY
