"""The reports of wires, whatever shapes them."""

from __future__ import annotations

import msgspec

from testbed.middlebox.box import Work
from testbed.wire.netem import Netem, WireCounters


class Wire(msgspec.Struct, frozen=True, kw_only=True):
    """One direction of one wire; ``toward`` is ``a`` or ``b``.

    :param engine: what shapes it: ``netem``, ``emulator`` or ``simulator``.
    :param in_force: what is in force of options that change by themselves (a trace, ``flap``).
    """

    link: str
    toward: str
    engine: str
    netem: Netem
    counters: WireCounters
    in_force: Netem | None = None

    @property
    def now(self) -> Netem:
        """The options in force."""
        return self.netem if self.in_force is None else self.in_force


class WireReport(msgspec.Struct, frozen=True, kw_only=True):
    """Every direction of every wire, and what the emulator has used of the CPU (0: none runs).

    :param boxes: what the middleboxes of each link that has some have done, in their order.
    """

    wires: tuple[Wire, ...]
    emulator_cpu_s: float = 0.0
    boxes: dict[str, tuple[Work, ...]] = {}
