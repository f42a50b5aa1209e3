"""A digest of every packet on every link, and of when it was sent and arrived."""

from __future__ import annotations

import functools
import hashlib
from typing import Any

from testbed.sim.channel import Channel
from testbed.sim.frame import Frame
from testbed.sim.frames import octets_of


class Digest:
    """SHA-256 over what each direction of each link carries: times, and octets of frames.

    Directions are summed up one by one, so that the order does not matter in which a simulator
    looks at links at the same moment.
    """

    def __init__(self) -> None:
        self.frames = 0  # sent and arrived, added up
        self._sums: dict[tuple[str, str], Any] = {}

    def watch(self, link: str, toward: str, channel: Channel) -> None:
        """Add what a direction of a link carries from now on."""
        self._sums[link, toward] = hashlib.sha256()
        channel.taps_in.append(functools.partial(self._add, link, toward, "sent"))
        channel.taps_out.append(functools.partial(self._add, link, toward, "came"))

    def hexdigest(self) -> str:
        """Return the digest of all that was carried so far."""
        lines = (f"{key} {self._sums[key].hexdigest()}\n" for key in sorted(self._sums))
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def _add(self, link: str, toward: str, what: str, frame: Frame, now: int) -> None:
        self.frames += 1
        self._sums[link, toward].update(f"{what} {now} ".encode() + octets_of(frame))
