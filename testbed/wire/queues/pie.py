"""PIE (RFC 8033): a drop probability from the delay and its change."""

from __future__ import annotations

from typing import Final

from testbed.wire.queues.discipline import H, Line, Surroundings, Waiting
from testbed.wire.queues.kinds import MS, Pie

MAX_BURST_NS: Final = 150 * MS  # RFC 8033, section 4.1
FIRST_UPDATE_NS: Final = 500 * MS  # Linux's: the first update comes later
HIGH_NS: Final = 250 * MS  # section 4.2: the probability then rises faster
_NS_PER_S: Final = 10**9


class PieQueue(Line[H]):
    """One queue under PIE, with the packets' own times as the delay (RFC 8033, section 5.2)."""

    __slots__ = (
        "_accumulated",
        "_around",
        "_burst_ns",
        "_delay_before_ns",
        "_delay_ns",
        "_dequeued_ns",
        "_options",
        "_probability",
        "_update_ns",
    )

    def __init__(self, options: Pie, around: Surroundings[H], now_ns: int) -> None:
        super().__init__()
        self._options = options
        self._around = around
        self._probability = 0.0
        self._accumulated = 0.0
        self._delay_ns = self._delay_before_ns = 0
        self._burst_ns = MAX_BURST_NS
        self._dequeued_ns: int | None = None
        self._update_ns = now_ns + FIRST_UPDATE_NS

    def change(self, queue: Pie) -> None:
        """See :class:`Discipline`."""
        self._options = queue

    def enqueue(self, item: Waiting[H], now_ns: int) -> None:
        """See :class:`Discipline`; RFC 8033, section 4.1."""
        self._update(now_ns)
        if len(self.items) >= self._options.limit:
            self._accumulated = 0.0
            self._around.drop_full(item)
            return
        accepted: Waiting[H] | None = item
        if self._drops(item.size):
            may_mark = self._options.ecn and self._probability <= 0.1  # section 5.1
            accepted = self._around.mark(item) if may_mark else None
        if accepted is None:
            self._accumulated = 0.0
            self._around.drop_early(item)
        else:
            self.append(accepted)

    def dequeue(self, now_ns: int) -> Waiting[H] | None:
        """See :class:`Discipline`."""
        self._update(now_ns)
        item = self.pop()
        if item is not None:
            self._delay_ns = now_ns - item.since_ns if self.items else 0
            if self._dequeued_ns is not None:
                self._burst_ns = max(0, self._burst_ns - (now_ns - self._dequeued_ns))
            self._dequeued_ns = now_ns
        return item

    def _drops(self, size: int) -> bool:
        """RFC 8033, section 4.1, with the derandomization of section 5.4."""
        target = self._options.target
        if self._burst_ns > 0:
            return False
        if self._delay_ns < target / 2 and self._probability < 0.2:
            return False
        if self.octets < 2 * self._around.frame:
            return False
        probability = self._probability
        if self._options.bytemode and size <= self._around.frame:
            probability *= size / self._around.frame
        self._accumulated = self._accumulated + probability if probability else 0.0
        if self._accumulated < 0.85:
            return False
        if self._accumulated < 8.5 and self._around.random() >= probability:
            return False
        self._accumulated = 0.0
        return True

    def _update(self, now_ns: int) -> None:
        """Do the periodic updates that are due."""
        while self._update_ns <= now_ns:
            self._update_ns += self._options.tupdate
            if not self._is_at_rest():
                self._compute()
            elif self._update_ns <= now_ns:  # the queue stays idle: no frame comes in between
                periods = (now_ns - self._update_ns) // self._options.tupdate + 1
                self._update_ns += periods * self._options.tupdate

    def _is_at_rest(self) -> bool:
        return (
            not self._probability
            and not self._delay_ns
            and not self._delay_before_ns
            and self._burst_ns == MAX_BURST_NS
            and not self.items
        )

    def _compute(self) -> None:
        """RFC 8033, section 4.2 and 4.3."""
        delay, before, target = self._delay_ns, self._delay_before_ns, self._options.target
        change = self._options.alpha / 16 * (delay - target)
        change += self._options.beta / 16 * (delay - before)
        step = change / _NS_PER_S * self._scale()
        if step > 0.02 and self._probability >= 0.1:
            step = 0.02
        if delay > HIGH_NS:
            step += 0.02
        self._probability = min(1.0, max(0.0, self._probability + step))
        if not delay and not before and not self.items:
            self._probability -= self._probability / 64
            if self._probability < 2**-56:  # the kernel's smallest
                self._probability = 0.0
        self._delay_before_ns = delay
        if delay < target / 2 and before < target / 2 and not self._probability:
            self._burst_ns = MAX_BURST_NS
            self._dequeued_ns = None
            self._accumulated = 0.0

    def _scale(self) -> float:
        """Section 4.2: the smaller the probability, the smaller the steps."""
        scale, bound = 1.0, 0.1
        if self._probability < bound:
            scale, bound = 0.5, 0.01
            while self._probability < bound and bound >= 1e-6:
                scale, bound = scale / 4, bound / 10
        return scale
