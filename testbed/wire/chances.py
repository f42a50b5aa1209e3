"""The random decisions of ``sch_netem``: each is a function, called once per packet."""

from __future__ import annotations

from collections.abc import Callable

from testbed.wire.distribution import SCALE, table
from testbed.wire.options import (
    Corrupt,
    Delay,
    Duplicate,
    FourStates,
    GilbertElliott,
    Loss,
    RandomLoss,
    Reorder,
)


class Chances:
    """Creates the decision functions of options.

    :param draw: returns numbers from 0 (inclusive) to 1.
    """

    def __init__(self, draw: Callable[[], float]) -> None:
        self._draw = draw

    def uniform(self, correlation: float) -> Callable[[], float]:
        """Return netem's ``get_crandom``: each number is correlated with the one before."""
        if not correlation:
            return self._draw
        draw = self._draw
        last = draw()

        def correlated() -> float:
            nonlocal last
            last = draw() * (1 - correlation) + last * correlation
            return last

        return correlated

    def event(
        self, option: RandomLoss | Duplicate | Corrupt | Reorder | None
    ) -> Callable[[], bool] | None:
        """Return the decision whether an event happens to a packet; None if it never does."""
        if option is None:
            return None
        draw = self.uniform(option.correlation)
        probability = option.probability
        return lambda: draw() < probability

    def jitter(self, delay: Delay | None) -> Callable[[], int] | None:
        """Return netem's ``tabledist``."""
        if delay is None or not delay.jitter_ns:
            return None
        draw = self.uniform(delay.correlation)
        jitter_ns = delay.jitter_ns
        values = table(delay.distribution)
        if values is None:
            return lambda: int((2 * draw() - 1) * jitter_ns)
        count = len(values)
        return lambda: jitter_ns * values[int(draw() * count)] // SCALE

    def loss(self, loss: Loss | None) -> Callable[[], bool] | None:
        """Return the decision whether a packet is lost; None if none is."""
        if isinstance(loss, GilbertElliott):
            return self._gilbert_elliott(loss)
        if isinstance(loss, FourStates):
            return self._four_states(loss)
        return self.event(loss)

    def _gilbert_elliott(self, loss: GilbertElliott) -> Callable[[], bool]:
        """Return netem's ``loss_gilb_ell``: the state before a packet decides on it."""
        draw = self._draw
        bad = False

        def lose() -> bool:
            nonlocal bad
            chance = loss.one_minus_h if bad else loss.one_minus_k
            if draw() < (loss.r if bad else loss.p):
                bad = not bad
            return draw() < chance

        return lose

    def _four_states(self, loss: FourStates) -> Callable[[], bool]:
        """Return netem's ``loss_4state``: the state after a packet decides on it."""
        draw = self._draw
        state = 1

        def lose() -> bool:
            nonlocal state
            chance = draw()
            if state == 1:
                away = loss.p14 + loss.p13
                state = 4 if chance < loss.p14 else 3 if chance < away else 1
            elif state == 2:
                state = 3 if chance < loss.p23 else 2
            elif state == 3:
                state = 2 if chance < loss.p32 else 1 if chance < loss.p32 + loss.p31 else 3
            else:
                state = 1
            return state > 2

        return lose

    def reorder(self, reorder: Reorder | None) -> Callable[[], bool] | None:
        """Return the decision whether a packet overtakes delayed ones; None if none does."""
        event = self.event(reorder)
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
