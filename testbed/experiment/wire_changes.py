"""Records of wires that have changed; most wires of a large network are idle."""

from __future__ import annotations

from testbed.records import WireRecord
from testbed.wire.report import Wire


class WireChanges:
    """Keeps the last record of each direction of each wire."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], Wire] = {}

    def note(self, wire: Wire, toward: str, t_ns: int) -> WireRecord | None:
        """Return a record of a wire's present state, unless it is unchanged.

        :param toward: the node that the direction leads to.
        """
        before = self._last.get((wire.link, toward))
        if before == wire:
            return None
        self._last[wire.link, toward] = wire
        changed = before is None or before.now != wire.now
        return WireRecord(
            t_ns=t_ns,
            link=wire.link,
            toward=toward,
            counters=wire.counters,
            netem=wire.now.to_tc() if changed else None,
        )
