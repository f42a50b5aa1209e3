"""Which subflow gets the next data."""

from __future__ import annotations

import msgspec
import pytest

from testbed.errors import InputError
from testbed.stack.mptcp import scheduler


class Path(msgspec.Struct, frozen=True):
    """A subflow with room."""

    number: int
    smoothed_rtt_ns: int | None


FAST, SLOW, NEW = Path(1, 10), Path(0, 20), Path(2, None)


def test_unknown_scheduler() -> None:
    with pytest.raises(InputError, match="minrtt, roundrobin"):
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
