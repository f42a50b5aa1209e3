"""The shape of a middlebox: sans-IO, like an endpoint."""

from __future__ import annotations

from collections.abc import Iterable

from testbed.packet.segment import Segment


class Middlebox:
    """Lets everything pass.

    ``toward`` is the end of the link, ``a`` or ``b``, to which a segment travels.
    """

    def process(self, segment: Segment, toward: str, now: int) -> Iterable[Segment]:
        """Return what a segment becomes: nothing, itself, another or several."""
        return (segment,)

    def next_timer(self) -> int | None:
        """Return when ``handle_timer`` has something to do, or ``None``: never."""
        return None

    def handle_timer(self, now: int) -> Iterable[tuple[str, Segment]]:
        """Return segments that leave by themselves, each with its ``toward``."""
        return ()
