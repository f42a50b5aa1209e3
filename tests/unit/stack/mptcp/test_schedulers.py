"""Which subflow gets the next data."""

from __future__ import annotations

import msgspec
import pytest

from testbed.errors import InputError
from testbed.stack.mptcp import scheduler


class Path(msgspec.Struct, frozen=True):
    """A subflow."""

    number: int
    smoothed_rtt_ns: int | None
    cwnd: int = 1000


FAST, SLOW, NEW = Path(1, 10), Path(0, 20), Path(2, None)


def test_unknown_scheduler() -> None:
    with pytest.raises(InputError, match="ecf, minrtt, roundrobin"):
        scheduler.create("fastest")


def test_minrtt_takes_the_fastest() -> None:
    chosen = scheduler.create("minrtt")
    assert chosen.select([SLOW, FAST]) is FAST
    assert chosen.select([SLOW]) is SLOW


def test_minrtt_takes_the_older_of_equals_and_tries_new_ones() -> None:
    chosen = scheduler.create("minrtt")
    assert chosen.select([Path(1, 5), Path(0, 5)]).number == 0
    assert chosen.select([FAST, NEW]) is NEW


def test_round_robin_goes_round() -> None:
    chosen = scheduler.create("roundrobin")
    assert [chosen.select([SLOW, FAST, NEW]).number for _ in range(5)] == [0, 1, 2, 0, 1]
    assert chosen.select([SLOW]) is SLOW


def test_ecf_waits_for_the_fastest_while_all_that_is_left_arrives_earlier_there() -> None:
    """10 ns for each 1000 octets on the fast one, after 10 for what it carries; 50 on the slow."""
    chosen, slow = scheduler.create("ecf"), Path(0, 50)
    assert chosen.select([slow, FAST]) is FAST
    assert chosen.waits(slow, [FAST], 3999)
    assert not chosen.waits(slow, [FAST], 4000)
    assert chosen.waits(slow, [Path(2, 40), FAST, NEW], 3999)


def test_ecf_does_not_wait_for_what_it_knows_nothing_of() -> None:
    chosen = scheduler.create("ecf")
    assert not chosen.waits(SLOW, [NEW], 1)
    assert not chosen.waits(NEW, [FAST], 1)
    assert not chosen.waits(FAST, [SLOW], 1)


@pytest.mark.parametrize("name", ["minrtt", "roundrobin"])
def test_the_others_never_wait(name: str) -> None:
    assert not scheduler.create(name).waits(Path(0, 50), [FAST], 1)
