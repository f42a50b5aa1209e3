"""A digest of each packet on each link with its times of departure and arrival."""

from __future__ import annotations

import functools
import hashlib
from typing import Any

from testbed.sim.channel import Channel
from testbed.sim.frame import Frame
from testbed.sim.frames import octets_of


class Digest:
    """SHA-256 over the times and frames of each direction of each link.

    Each direction has its own sum, so that the order in which a simulator handles links at the same
    moment does not matter.
    """

    def __init__(self) -> None:
        self.frames = 0  # sent and arrived, added up
        self._sums: dict[tuple[str, str], Any] = {}

    def watch(self, link: str, toward: str, channel: Channel) -> None:
        """Add the future frames of a direction of a link."""
        self._sums[link, toward] = hashlib.sha256()
        channel.taps_in.append(functools.partial(self._add, link, toward, "sent"))
        channel.taps_out.append(functools.partial(self._add, link, toward, "came"))

    def hexdigest(self) -> str:
        """Return the digest of all frames so far."""
        lines = (f"{key} {self._sums[key].hexdigest()}\n" for key in sorted(self._sums))
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def _add(self, link: str, toward: str, what: str, frame: Frame, now: int) -> None:
        self.frames += 1
        self._sums[link, toward].update(f"{what} {now} ".encode() + octets_of(frame))
