"""Boxes in a row: order, directions, carriers, timers and counts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from testbed.middlebox.base import Middlebox
from testbed.middlebox.chain import Chain
from testbed.middlebox.options import StripOptions
from testbed.middlebox.segmentation import HOLD_NS, Coalesce, Split
from testbed.packet.address import Address
from testbed.packet.options import Timestamps
from testbed.packet.segment import ACK, RST, Segment

A, B = Address("10.0.0.1", 1000), Address("10.0.0.2", 80)


def there(**fields: Any) -> Segment:
    return Segment(**{"source": A, "destination": B, "seq": 1, "flags": ACK, **fields})


def back(**fields: Any) -> Segment:
    return there(source=B, destination=A, **fields)


def turned(carrier: str) -> str:
    return f"{carrier} back"


class Refuser(Middlebox):
    """Answers each segment toward ``b`` with RST, and lets none pass."""

    toward = "b"

    def __init__(self) -> None:
        self._due: list[tuple[int, Segment]] = []

    def process(self, segment: Segment, toward: str, now: int) -> Iterable[Segment]:
        answer = Segment(source=segment.destination, destination=segment.source, seq=0, flags=RST)
        self._due.append((now, answer))
        return ()

    def next_timer(self) -> int | None:
        return self._due[0][0] if self._due else None

    def handle_timer(self, now: int) -> Iterable[tuple[str, Segment]]:
        due, self._due = self._due, []
        return [("a", segment) for _, segment in due]


def test_an_answer_leaves_at_once_in_the_turned_carrier() -> None:
    chain = Chain([StripOptions(Timestamps), Refuser()], turned)
    [answer] = chain.enter("b", there(options=(Timestamps(1, 2),)), "carrier", 5)
    assert (answer.toward, answer.carrier) == ("a", "carrier back")
    assert (answer.segment.flags, answer.segment.destination) == (RST, A)
    assert chain.next_timer() is None


def test_what_a_box_sends_meets_the_boxes_behind_it() -> None:
    """Those between it and where the segment goes, and no other."""
    chain = Chain([Split(3), Coalesce(10), Split(2)], turned)
    assert chain.enter("b", there(payload=b"abcd"), "one", 0) == []
    assert chain.next_timer() == HOLD_NS
    leaving = chain.handle_timer(HOLD_NS)
    assert [each.segment.payload for each in leaving] == [b"ab", b"cd"]
    assert {each.carrier for each in leaving} == {"one"}


def test_a_box_of_one_direction_never_sees_the_other() -> None:
    chain = Chain([Split(2, toward="a")], turned)
    assert (chain.looks("a"), chain.looks("b")) == (True, False)
    whole = there(payload=b"abcd")
    [same] = chain.enter("b", whole, "x", 0)
    assert same.segment is whole
    assert len(chain.enter("a", back(payload=b"abcd"), "y", 0)) == 2
    [work] = chain.work(["split"])
    assert (work.came, work.left, work.changed) == (1, 2, 2)


def test_what_boxes_did_is_counted() -> None:
    chain = Chain([StripOptions(Timestamps), Refuser()], turned)
    chain.enter("b", there(), "x", 0)
    chain.enter("b", there(options=(Timestamps(1, 2),)), "x", 0)
    chain.enter("a", back(), "x", 0)
    strip, refuser = chain.work(["strip_options", "refuser"])
    # Two went there, one back; and two answers of the refuser went back.
    assert (strip.came, strip.left, strip.changed) == (5, 5, 1)
    assert (refuser.came, refuser.left, refuser.changed) == (2, 2, 2)


def test_large_segments_are_cut_before_the_first_box() -> None:
    chain = Chain([StripOptions(Timestamps)], turned)
    leaving = chain.enter("b", there(payload=b"abcde", gso_size=2), "x", 0)
    assert [each.segment.payload for each in leaving] == [b"ab", b"cd", b"e"]
    assert all(each.segment.gso_size == 0 for each in leaving)
