"""One heap of deadlines, whose entries may be out of date."""

from __future__ import annotations

import random

from testbed.stack.deadlines import NEVER, Deadlines


class Item:
    """Something that is due at a time."""

    def __init__(self, due: int = NEVER) -> None:
        self.due = due


def deadlines() -> Deadlines[Item]:
    return Deadlines(lambda item: item.due)


def test_what_is_due_comes_in_order() -> None:
    found = deadlines()
    items = [Item(due) for due in (30, 10, 20)]
    for item in items:
        found.arm(item)
    assert found.next() == 10
    assert [item.due for item in found.expired(20)] == [10, 20]
    assert found.next() == 30


def test_a_deadline_that_moves_to_later_is_seen_when_it_is_reached() -> None:
    found, item = deadlines(), Item(10)
    found.arm(item)
    item.due = 50
    assert found.next() == 50
    assert list(found.expired(49)) == []
    assert list(found.expired(50)) == [item]


def test_an_item_that_is_due_never_has_no_deadline() -> None:
    found, item = deadlines(), Item()
    found.arm(item)
    assert found.next() is None
    item.due = 3
    found.arm(item)
    item.due = NEVER
    assert found.next() is None


def test_forgotten_items_are_kept_nowhere() -> None:
    found = deadlines()
    items = [Item(1000 + number) for number in range(100)]
    for item in items:
        found.arm(item)
    for item in items[1:]:
        found.forget(item)
    assert len(found._heap) <= 2
    assert found.next() == 1000


def test_forgotten_item_is_not_due_whatever_it_says() -> None:
    found = deadlines()
    items = [Item(10), Item(20), Item(30), Item(40), Item(50)]
    for item in items:
        found.arm(item)
    found.forget(items[0])
    assert found.next() == 20
    found.forget(items[1])
    assert list(found.expired(35)) == [items[2]]
    assert found.next() == 40


def test_as_a_plain_minimum_would_have_it() -> None:
    rng = random.Random(5)
    found, items = deadlines(), [Item() for _ in range(20)]
    now = 0
    for _ in range(3000):
        item = rng.choice(items)
        item.due = rng.choice((NEVER, now + rng.randrange(100)))
        found.arm(item)
        if rng.random() < 0.1:
            found.forget(item)
            item.due = NEVER
        now += rng.randrange(5)
        due = {item for item in items if item.due <= now}
        seen = []
        for one in found.expired(now):
            seen.append(one)
            one.due = NEVER
        assert set(seen) == due
        assert len(seen) == len(due)
        least = min(one.due for one in items)
        assert found.next() == (None if least == NEVER else least)
