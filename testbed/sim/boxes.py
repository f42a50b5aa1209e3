"""The middleboxes of a simulated link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from testbed.middlebox.base import Middlebox
from testbed.middlebox.box import Work
from testbed.middlebox.chain import Chain, Leaving
from testbed.packet.segment import Segment
from testbed.sim.agenda import Agenda
from testbed.sim.channel import Channel
from testbed.sim.frame import Frame
from testbed.sim.frames import size_of

_MAC: Final = 6  # octets of a MAC address


class GuardedLink:
    """Passes the segments of a link through middleboxes before the wire's models.

    :param boxes: the first one is nearest to the link's end ``a``.
    :param channels: the two directions of the link, by the end that they lead to.
    """

    def __init__(
        self, boxes: Sequence[Middlebox], channels: Mapping[str, Channel], agenda: Agenda
    ) -> None:
        self._chain: Chain[Frame] = Chain(boxes, _turned)
        self._channels = channels
        self._agenda = agenda
        self._armed: int | None = None

    def enter(self, toward: str, frame: Frame, now: int) -> None:
        """Process a frame on the link. Only whole segments pass the boxes."""
        packet = frame.packet
        if frame.broken is not None or not isinstance(packet, Segment):
            self._channels[toward].carry(frame, now)
            return
        for leaving in self._chain.enter(toward, packet, frame, now):
            self._leave(leaving, now)
        self._arm()

    def work(self, kinds: Sequence[str]) -> tuple[Work, ...]:
        """Return the counters of each box. ``kinds`` are their names."""
        return self._chain.work(kinds)

    def _leave(self, leaving: Leaving[Frame], now: int) -> None:
        segment, frame = leaving.segment, leaving.carrier
        if segment is not frame.packet:
            frame = msgspec.structs.replace(
                frame,
                packet=segment,
                size=size_of(segment),
                source=segment.source.host,
                destination=segment.destination.host,
            )
        self._channels[leaving.toward].carry(frame, now)

    def _arm(self) -> None:
        due = self._chain.next_timer()
        if due is not None and (self._armed is None or due < self._armed):
            self._armed = due
            self._agenda.at(due, self._timer)

    def _timer(self, now: int) -> None:
        if self._armed is not None and self._armed <= now:
            self._armed = None
        for leaving in self._chain.handle_timer(now):
            self._leave(leaving, now)
        self._arm()


def _turned(frame: Frame) -> Frame:
    """Return a frame for the reverse direction with the Ethernet header of another frame."""
    header = frame.ethernet
    addresses = header[_MAC : 2 * _MAC] + header[:_MAC]
    return msgspec.structs.replace(frame, ethernet=addresses + header[2 * _MAC :])
