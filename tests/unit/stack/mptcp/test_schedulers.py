"""Which subflow gets the next data."""

from __future__ import annotations

import msgspec
import pytest

from testbed.errors import InputError
from testbed.stack.mptcp.scheduler import SCHEDULERS


class Path(msgspec.Struct, frozen=True):
    """A subflow that delivers ``rate`` octets per ns and has ``ahead`` octets to deliver."""

    number: int
    smoothed_rtt_ns: int | None
    ahead: int = 0
    rate: int = 100

    def expected_ns(self, octets: int = 0) -> int | None:
        rtt = self.smoothed_rtt_ns
        return None if rtt is None else max(rtt, (self.ahead + octets) // self.rate)

    def sending_ns(self, octets: int) -> int:
        return octets // self.rate

    def within(self, ns: int) -> int:
        return self.rate * ns - self.ahead


FAST, SLOW, NEW = Path(1, 10), Path(0, 20), Path(2, None)


def test_unknown_scheduler() -> None:
    with pytest.raises(InputError, match="ecf, minrtt, roundrobin"):
        SCHEDULERS["fastest"]()


def test_minrtt_takes_the_fastest() -> None:
    chosen = SCHEDULERS["minrtt"]()
    assert chosen.select([SLOW, FAST]) is FAST
    assert chosen.select([SLOW]) is SLOW


def test_minrtt_takes_the_older_of_equals_and_tries_new_ones() -> None:
    chosen = SCHEDULERS["minrtt"]()
    assert chosen.select([Path(1, 5), Path(0, 5)]).number == 0
    assert chosen.select([FAST, NEW]) is NEW


def test_round_robin_goes_round() -> None:
    chosen = SCHEDULERS["roundrobin"]()
    assert [chosen.select([SLOW, FAST, NEW]).number for _ in range(5)] == [0, 1, 2, 0, 1]
    assert chosen.select([SLOW]) is SLOW


def test_ecf_takes_the_one_that_is_done_first() -> None:
    chosen, busy = SCHEDULERS["ecf"](), Path(1, 10, ahead=3000)
    assert chosen.select([SLOW, FAST]) is FAST
    assert chosen.select([SLOW, busy]) is SLOW
    assert chosen.select([SLOW, busy, NEW]) is NEW
    assert chosen.select([Path(1, 5), Path(0, 5)]).number == 0


def test_ecf_gives_no_more_than_keeps_it_the_first() -> None:
    """100 octets per ns: 2000 in the 20 ns of the slow one, less those that it has."""
    chosen = SCHEDULERS["ecf"]()
    assert chosen.turn(FAST, [SLOW, FAST, Path(3, 30)]) == 2000
    assert chosen.turn(Path(1, 10, ahead=1500), [SLOW]) == 500
    assert chosen.turn(FAST, [FAST]) >= 1 << 32


@pytest.mark.parametrize("name", ["minrtt", "roundrobin"])
def test_the_others_give_what_there_is_room_for(name: str) -> None:
    assert SCHEDULERS[name]().turn(FAST, [SLOW, FAST]) >= 1 << 32


WINDOW = 1 << 30


def test_ecf_waits_for_another_while_all_that_is_left_is_done_earlier_there() -> None:
    chosen, slow, fast = SCHEDULERS["ecf"](), Path(0, 50), Path(1, 10, ahead=1000)
    assert chosen.share(slow, [fast], 3999, WINDOW) == 0
    assert chosen.share(slow, [fast], 4000, WINDOW) == 5000
    assert chosen.share(slow, [Path(2, 40, ahead=4000), fast, NEW], 3999, WINDOW) == 0


def test_ecf_gives_a_slow_one_no_more_than_the_window_leaves_time_for() -> None:
    """4000 octets take 40 ns on the fast one, whatever it has on its way already."""
    chosen, fast = SCHEDULERS["ecf"](), Path(1, 10, ahead=1 << 20)
    assert chosen.share(Path(0, 50), [fast], 1 << 30, 4000) == 0
    assert chosen.share(Path(0, 30), [fast], 1 << 30, 4000) == 4000
    assert chosen.share(Path(0, 30, ahead=2000), [fast], 1 << 30, 4000) == 2000


def test_ecf_does_not_wait_for_what_it_knows_nothing_of() -> None:
    chosen = SCHEDULERS["ecf"]()
    assert chosen.share(SLOW, [NEW], 1, WINDOW) >= 1 << 32
    assert chosen.share(NEW, [FAST], 1, WINDOW) >= 1 << 32
    assert chosen.share(FAST, [SLOW], 1, WINDOW)


@pytest.mark.parametrize("name", ["minrtt", "roundrobin"])
def test_the_others_never_wait(name: str) -> None:
    assert SCHEDULERS[name]().share(Path(0, 50), [FAST], 1, 1) >= 1 << 32
