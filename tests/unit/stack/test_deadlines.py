"""One heap of deadlines, whose entries may be out of date."""

from __future__ import annotations

import random

from testbed.stack.deadlines import NEVER, Deadlines


def deadlines(**dues: int) -> Deadlines[str]:
    found: Deadlines[str] = Deadlines()
    for item, due in dues.items():
        found.arm(item, due)
    return found


def test_what_is_due_comes_in_order() -> None:
    found = deadlines(late=30, first=10, second=20)
    assert found.next() == 10
    assert list(found.expired(20)) == ["first", "second"]
    assert found.next() == 30


def test_a_deadline_can_move_to_later_and_to_sooner() -> None:
    found = deadlines(item=10)
    found.arm("item", 50)
    assert found.next() == 50
    assert list(found.expired(49)) == []
    found.arm("item", 30)
    assert found.next() == 30
    assert list(found.expired(30)) == ["item"]
    assert found.next() is None


def test_what_is_due_is_due_once_until_it_is_armed_again() -> None:
    found = deadlines(item=10)
    found.arm("item", 5)  # two entries of one item
    assert list(found.expired(20)) == ["item"]
    assert list(found.expired(20)) == []
    found.arm("item", 20)
    assert list(found.expired(20)) == ["item"]


def test_an_item_that_is_due_never_has_no_deadline() -> None:
    found = deadlines(item=NEVER)
    assert found.next() is None
    found.arm("item", 3)
    found.arm("item", NEVER)
    assert found.next() is None
    assert found._armed == {}


def test_forgotten_items_are_kept_nowhere() -> None:
    found = deadlines(**{f"item {number}": 1000 + number for number in range(100)})
    for number in range(1, 100):
        found.forget(f"item {number}")
    assert len(found._heap) <= 2
    assert found.next() == 1000


def test_a_deadline_that_moves_to_and_fro_makes_no_entry_twice() -> None:
    found = deadlines(item=1_000_000)
    for now in range(1000):
        found.arm("item", now + 1)
        assert list(found.expired(now + 1)) == ["item"]
        found.arm("item", 1_000_000)
    assert len(found._heap) == 1


def test_a_forgotten_item_is_not_due() -> None:
    found = deadlines(a=10, b=20, c=30, d=40, e=50)
    found.forget("a")
    assert found.next() == 20
    found.forget("b")
    assert list(found.expired(35)) == ["c"]
    assert found.next() == 40


def test_as_a_plain_minimum_would_have_it() -> None:
    rng = random.Random(5)
    found: Deadlines[int] = Deadlines()
    dues = dict.fromkeys(range(20), NEVER)
    now = 0
    for _ in range(3000):
        item = rng.choice(range(20))
        dues[item] = rng.choice((NEVER, now + rng.randrange(100)))
        found.arm(item, dues[item])
        if rng.random() < 0.1:
            found.forget(item)
            dues[item] = NEVER
        now += rng.randrange(5)
        due = {item for item, at in dues.items() if at <= now}
        seen = list(found.expired(now))
        assert set(seen) == due
        assert len(seen) == len(due)
        dues |= dict.fromkeys(due, NEVER)
        least = min(dues.values())
        assert found.next() == (None if least == NEVER else least)
