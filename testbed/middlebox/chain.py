"""Middleboxes in a row on one link. The type of the link does not matter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from testbed.middlebox.base import Middlebox, other_end
from testbed.middlebox.box import Work
from testbed.packet import codec
from testbed.packet.segment import Segment

C = TypeVar("C")


class Leaving(NamedTuple, Generic[C]):
    """A segment that leaves the boxes ``toward`` an end of the link, in a ``carrier``."""

    toward: str
    segment: Segment
    carrier: C


class _Stage:
    """A box and its counters."""

    __slots__ = ("box", "came", "changed", "left")

    def __init__(self, box: Middlebox) -> None:
        self.box = box
        self.came = self.left = self.changed = 0

    def pass_on(self, segments: Sequence[Segment], toward: str, now: int) -> Sequence[Segment]:
        box = self.box
        if box.toward is not None and box.toward != toward:
            return segments
        out: list[Segment] = []
        for segment in segments:
            made = box.process(segment, toward, now)
            for each in made:
                out.append(each)
                if each is not segment:
                    self.changed += 1
        self.came += len(segments)
        self.left += len(out)
        return out


class Chain(Generic[C]):
    """Passes segments through boxes.

    A *carrier* encloses a segment, for example an Ethernet header. A segment that a box sends by
    itself gets the carrier of the last segment to the same host, or the turned carrier of the last
    segment from that host.

    Large segments, which hosts leave to the network card to split, are split before the first box.
    So each box sees the segments of the wire.

    :param boxes: the boxes in order; the first one is nearest to the link's end ``a``.
    :param turned: a function that returns the carrier for an answer to a segment in a carrier.
    """

    def __init__(self, boxes: Sequence[Middlebox], turned: Callable[[C], C]) -> None:
        self._stages = tuple(map(_Stage, boxes))
        self._ways = {"b": self._stages, "a": self._stages[::-1]}
        self._timed = tuple(each for each in self._stages if _has_timers(each.box))
        self._turned = turned
        self._to: dict[tuple[str, str], C] = {}  # the last carrier toward an end, to a host
        self._from: dict[tuple[str, str], C] = {}  # the last carrier toward an end, from a host
        self._last: dict[str, C] = {}

    def looks(self, toward: str) -> bool:
        """Return whether any box sees the segments of a direction."""
        return any(stage.box.toward in (None, toward) for stage in self._stages)

    def enter(self, toward: str, segment: Segment, carrier: C, now: int) -> list[Leaving[C]]:
        """Process a segment that enters the link; return the segments that leave the boxes now."""
        if self._timed:  # only boxes with timers send by themselves
            self._remember(toward, segment, carrier)
        segments: Sequence[Segment] = [segment]
        if segment.gso_size:
            segments = list(codec.split(segment))
        out = [
            Leaving(toward, each, carrier)
            for each in self._through(self._ways[toward], segments, toward, now)
        ]
        due = self.next_timer() if self._timed else None
        return out if due is None or due > now else out + self.handle_timer(now)

    def next_timer(self) -> int | None:
        """Return the time to call :meth:`handle_timer`, or ``None`` if there is no timer."""
        times = [at for stage in self._timed if (at := stage.box.next_timer()) is not None]
        return min(times, default=None)

    def handle_timer(self, now: int) -> list[Leaving[C]]:
        """Return the segments that the boxes send by themselves."""
        out: list[Leaving[C]] = []
        for stage in self._timed:
            due = stage.box.next_timer()
            if due is None or due > now:
                continue
            for toward, segment in stage.box.handle_timer(now):
                stage.left += 1
                stage.changed += 1
                carrier = self._carrier(toward, segment)
                if carrier is not None:
                    way = self._ways[toward]
                    beyond = way[way.index(stage) + 1 :]
                    leaving = self._through(beyond, [segment], toward, now)
                    out += (Leaving(toward, each, carrier) for each in leaving)
        return out

    def work(self, kinds: Sequence[str]) -> tuple[Work, ...]:
        """Return the work of each box.

        :param kinds: the names of the boxes.
        """
        return tuple(
            Work(kind=kind, came=stage.came, left=stage.left, changed=stage.changed)
            for kind, stage in zip(kinds, self._stages, strict=True)
        )

    def _through(
        self, stages: Sequence[_Stage], segments: Sequence[Segment], toward: str, now: int
    ) -> Sequence[Segment]:
        for stage in stages:
            segments = stage.pass_on(segments, toward, now)
        return segments

    def _remember(self, toward: str, segment: Segment, carrier: C) -> None:
        self._to[toward, segment.destination.host] = carrier
        self._from[toward, segment.source.host] = carrier
        self._last[toward] = carrier

    def _carrier(self, toward: str, segment: Segment) -> C | None:
        """Return the carrier for a box's own segment, or ``None`` if no segment was seen before."""
        found = self._to.get((toward, segment.destination.host))
        if found is not None:
            return found
        back = other_end(toward)
        turned = self._from.get((back, segment.destination.host), self._last.get(back))
        return self._last.get(toward) if turned is None else self._turned(turned)


def _has_timers(box: Middlebox) -> bool:
    return type(box).next_timer is not Middlebox.next_timer
