"""The schedule of a wire that changes by itself: the rows of a CSV trace, and flapping.

The emulator, the simulator and the kernel's netem follow the same schedule.
"""

from __future__ import annotations

from random import Random
from typing import Final

import msgspec

from testbed.wire import trace as traces
from testbed.wire.netem import Netem
from testbed.wire.options import Flap, RandomLoss
from testbed.wire.steps import changes_of, combined

NEVER: Final = 2**63 - 1

_LOST: Final = RandomLoss(probability=1.0)


class Schedule:
    """The options of one direction over time.

    :param netem: the options of the direction in the file.
    :param changes: the trace of ``netem``, if it is one of changes.
    :param seed: the seed of independent flapping.
    :param epoch_ns: the start.
    :raises InputError: the trace cannot be read, or has a column for an option of ``netem``.
    """

    def __init__(
        self, netem: Netem, changes: traces.Changes | None, *, seed: int, epoch_ns: int
    ) -> None:
        self.next_ns = NEVER  # the time of the next change
        self.held = False  # the rate is 0
        self._flapping = _Flapping(netem.flap, seed, epoch_ns) if netem.flap else None
        self._changes = changes
        self._epoch_ns = epoch_ns  # start of the round through the trace
        self._step = 0
        self._options = combined(netem, changes)
        self.in_force = self._options[0]
        self._settle()

    def change(self, netem: Netem) -> None:
        """Change the other options of the direction, with the same trace and flapping.

        :raises InputError: the trace conflicts with them.
        """
        self._options = combined(netem, self._changes)
        self._settle()

    def advance(self) -> None:
        """Advance to :attr:`next_ns`, the next change."""
        if self._flapping is not None and self._flapping.next_ns == self.next_ns:
            self._flapping.advance()
        if self._changes is not None and self._step_ns == self.next_ns:
            self._step += 1
            if self._step == len(self._changes.steps):
                self._step = 0
                self._epoch_ns += self._changes.period_ns
        self._settle()

    @property
    def _step_ns(self) -> int:
        """The start of the next row."""
        if self._changes is None or not self._changes.period_ns:
            return NEVER
        following = self._step + 1
        steps = self._changes.steps
        within = steps[following].at_ns if following < len(steps) else self._changes.period_ns
        return self._epoch_ns + within

    def _settle(self) -> None:
        self.in_force = self._options[self._step]
        self.held = self._changes is not None and self._changes.steps[self._step].held
        self.next_ns = self._step_ns
        if self._flapping is not None:
            self.next_ns = min(self.next_ns, self._flapping.next_ns)
            if self._flapping.away:
                self.in_force = msgspec.structs.replace(self.in_force, loss=_LOST)


class _Flapping:
    """An on/off process with exponentially distributed times."""

    def __init__(self, flap: Flap, seed: int, epoch_ns: int) -> None:
        own = flap.seed is None
        self._draw = Random(f"flap {'wire' if own else 'all'} {seed if own else flap.seed}")
        self._flap = flap
        self.away = False
        self.next_ns = epoch_ns + self._lasts(flap.up_ns)

    def advance(self) -> None:
        """Go up or down."""
        self.away = not self.away
        self.next_ns += self._lasts(self._flap.down_ns if self.away else self._flap.up_ns)

    def _lasts(self, mean_ns: int) -> int:
        return max(1, round(self._draw.expovariate(1 / mean_ns)))


def of(netem: Netem, *, seed: int, epoch_ns: int) -> Schedule | None:
    """Return the schedule of a direction, or None if it does not change by itself.

    :raises InputError: as :class:`Schedule`, and for a trace of opportunities beside a rate.
    """
    changes = changes_of(netem)
    if changes is None and netem.flap is None:
        return None
    return Schedule(netem, changes, seed=seed, epoch_ns=epoch_ns)
