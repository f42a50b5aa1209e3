"""Middleboxes in a row on one link."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from testbed.packet.segment import Segment
from testbed.sim.agenda import Agenda
from testbed.sim.channel import Channel
from testbed.sim.frame import Frame
from testbed.sim.frames import size_of
from testbed.sim.middlebox.base import Middlebox

_STEP: Final = {"b": 1, "a": -1}


class Chain:
    """Passes segments through boxes in front of the wire's model.

    :param boxes: the first one stands nearest to the link's end ``a``.
    :param channels: the two directions of the link, by where they lead.
    """

    def __init__(
        self, boxes: Sequence[Middlebox], channels: Mapping[str, Channel], agenda: Agenda
    ) -> None:
        self._boxes = tuple(boxes)
        self._channels = channels
        self._agenda = agenda
        self._last: dict[tuple[str, str], Frame] = {}  # seen toward an end, to a destination
        self._armed: int | None = None

    def enter(self, toward: str, frame: Frame, now: int) -> None:
        """Take a frame that has come onto the link; only whole segments are looked at."""
        packet = frame.packet
        if frame.broken is not None or not isinstance(packet, Segment):
            self._channels[toward].carry(frame, now)
            return
        self._last[toward, frame.destination] = frame
        boxes = self._boxes[:: _STEP[toward]]
        self._leave(self._through(boxes, packet, toward, now), toward, frame, now)
        self._arm()

    def _through(
        self, boxes: Iterable[Middlebox], segment: Segment, toward: str, now: int
    ) -> Sequence[Segment]:
        segments = [segment]
        for box in boxes:
            segments = [out for each in segments for out in box.process(each, toward, now)]
        return segments

    def _leave(self, segments: Iterable[Segment], toward: str, frame: Frame, now: int) -> None:
        for segment in segments:
            if segment is not frame.packet:
                frame = msgspec.structs.replace(
                    frame,
                    packet=segment,
                    size=size_of(segment),
                    source=segment.source.host,
                    destination=segment.destination.host,
                )
                self._last[toward, frame.destination] = frame
            self._channels[toward].carry(frame, now)

    def _arm(self) -> None:
        due = min((at for box in self._boxes if (at := box.next_timer()) is not None), default=None)
        if due is not None and (self._armed is None or due < self._armed):
            self._armed = due
            self._agenda.at(due, self._timer)

    def _timer(self, now: int) -> None:
        if self._armed is not None and self._armed <= now:
            self._armed = None
        for index, box in enumerate(self._boxes):
            due = box.next_timer()
            if due is None or due > now:
                continue
            for toward, segment in box.handle_timer(now):
                beyond = self._boxes[index + 1 :] if toward == "b" else self._boxes[:index][::-1]
                # Its neighbours on the link are those of the last frame that went there.
                frame = self._last[toward, segment.destination.host]
                self._leave(self._through(beyond, segment, toward, now), toward, frame, now)
        self._arm()
