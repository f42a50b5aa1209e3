"""The reports of wires of all engines."""

from __future__ import annotations

import msgspec

from testbed.middlebox.box import Work
from testbed.wire.netem import Netem, WireCounters


class Wire(msgspec.Struct, frozen=True, kw_only=True):
    """One direction of one wire; ``toward`` is ``a`` or ``b``.

    :param engine: ``netem``, ``emulator`` or ``simulator``.
    :param in_force: the present values of options that change by themselves (a trace, ``flap``).
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
    """All directions of all wires, and the CPU time of the emulator (0 if none runs).

    :param boxes: the counters of the middleboxes of each link with middleboxes, in order.
    """

    wires: tuple[Wire, ...]
    emulator_cpu_s: float = 0.0
    boxes: dict[str, tuple[Work, ...]] = {}
