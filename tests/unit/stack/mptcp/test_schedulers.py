"""Which subflow gets which data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from testbed.errors import InputError
from testbed.stack.mptcp.scheduler import SCHEDULERS
from testbed.stack.mptcp.scheduler.base import NO_LIMIT, View

NAMES = SCHEDULERS.own()


class Path(msgspec.Struct, frozen=True):
    """A subflow that delivers ``rate`` octets per ns, with segments of 100 octets."""

    number: int
    smoothed_rtt_ns: int | None
    in_flight: int = 0
    rate: int = 100
    cwnd: int = 1000
    queued: int = 0
    rtt_variance_ns: int = 0
    segment_size: int = 100
    carried: tuple[int, int] = (0, 0)

    def expected_ns(self, octets: int = 0) -> int | None:
        rtt = self.smoothed_rtt_ns
        return None if rtt is None else max(rtt, (self.in_flight + octets) // self.rate)

    def sending_ns(self, octets: int) -> int:
        return octets // self.rate

    def within(self, ns: int) -> int:
        return self.rate * ns - self.in_flight

    def lacks(self, start: int, end: int) -> tuple[int, int] | None:
        start = max(start, self.carried[1])
        return (start, end) if start < end else None


FAST, SLOW, NEW = Path(1, 10), Path(0, 20), Path(2, None)
WINDOW = 1 << 30
LEFT = 1 << 20


def view(
    ready: Sequence[Path],
    full: Sequence[Path] = (),
    *,
    left: int = LEFT,
    window: int = WINDOW,
    **more: Any,
) -> View[Path]:
    """Show octets from 1000 on, of which none was given to a subflow."""
    values = {"una": 1000, "next": 1000, "end": 1000 + left, "edge": 1000 + window} | more
    return View(ready, full, window=window, **values)


def given(name: str, shown: View[Path]) -> Path | None:
    grant = SCHEDULERS[name]().assign(shown)
    return grant[0] if grant else None


def test_unknown_scheduler() -> None:
    with pytest.raises(InputError, match="blest, daps, dems, earliest, ecf, linux, minrtt, otias"):
        SCHEDULERS["nonesuch"]()


@pytest.mark.parametrize("name", NAMES)
def test_each_gives_all_to_one_that_is_alone(name: str) -> None:
    alone = Path(0, 20)
    grant = SCHEDULERS[name]().assign(view([alone]))
    assert grant is not None
    assert grant[:2] == (alone, 1000)
    assert grant[2] >= alone.segment_size


@pytest.mark.parametrize("name", NAMES)
def test_each_gives_nothing_if_there_is_nothing_to_send(name: str) -> None:
    carried = Path(0, 20, carried=(1000, 2000))
    assert SCHEDULERS[name]().assign(view([carried], next=2000, end=2000)) is None
    assert SCHEDULERS[name]().assign(view([carried], next=2000, end=3000, edge=2000)) is None


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"linux", "otias"}))
def test_these_give_nothing_to_one_that_is_full(name: str) -> None:
    assert given(name, view([], [FAST])) is None


def test_a_view_tells_what_was_left_out() -> None:
    shown = view([FAST], next=2000, gaps=[(1200, 1300), (1500, 1600)], left=1500, window=1400)
    assert (shown.first, shown.unsent, shown.sendable) == (1200, 700, 600)
    assert [shown.after(at) for at in (1000, 1250, 1300, 1600, 2100)] == [
        1200, 1250, 1500, 2000, 2100
    ]  # fmt: skip


def test_minrtt_takes_the_fastest() -> None:
    chosen = SCHEDULERS["minrtt"]()
    assert chosen.select([SLOW, FAST]) is FAST
    assert chosen.select([SLOW]) is SLOW
    assert given("minrtt", view([SLOW], [FAST])) is SLOW


def test_minrtt_takes_the_older_of_equals_and_tries_new_ones() -> None:
    chosen = SCHEDULERS["minrtt"]()
    assert chosen.select([Path(1, 5), Path(0, 5)]).number == 0
    assert chosen.select([FAST, NEW]) is NEW


def test_round_robin_goes_round() -> None:
    chosen = SCHEDULERS["roundrobin"]()
    assert [chosen.select([SLOW, FAST, NEW]).number for _ in range(5)] == [0, 1, 2, 0, 1]
    assert chosen.select([SLOW]) is SLOW


@pytest.mark.parametrize("name", ["minrtt", "roundrobin"])
def test_these_give_what_there_is_room_for(name: str) -> None:
    for full in ([], [FAST]):
        grant = SCHEDULERS[name]().assign(view([Path(0, 50)], full, left=100, window=100))
        assert grant is not None
        assert grant[2] >= 1 << 32


def earliest(shown: View[Path]) -> int:
    grant = SCHEDULERS["earliest"]().assign(shown)
    return grant[2] if grant else 0


def test_earliest_takes_the_one_that_is_done_first() -> None:
    chosen, busy = SCHEDULERS["earliest"](), Path(1, 10, in_flight=3000)
    assert chosen.select([SLOW, FAST]) is FAST
    assert chosen.select([SLOW, busy]) is SLOW
    assert chosen.select([SLOW, busy, NEW]) is NEW
    assert chosen.select([Path(1, 5), Path(0, 5)]).number == 0


def test_earliest_gives_no_more_than_keeps_it_the_first() -> None:
    """100 octets per ns: 2000 in the 20 ns of the slow one, less those that it has."""
    assert earliest(view([SLOW, FAST, Path(3, 30)])) == 2000
    assert earliest(view([Path(1, 10, in_flight=1500), SLOW])) == 500
    assert earliest(view([FAST])) >= 1 << 32


def test_earliest_waits_for_another_while_all_that_is_left_is_done_earlier_there() -> None:
    slow, fast = Path(0, 50), Path(1, 10, in_flight=1000)
    assert earliest(view([slow], [fast], left=3999)) == 0
    assert earliest(view([slow], [fast], left=4000)) == 5000
    assert earliest(view([slow], [Path(2, 40, in_flight=4000), fast, NEW], left=3999)) == 0


def test_earliest_gives_a_slow_one_no_more_than_the_window_leaves_time_for() -> None:
    """4000 octets take 40 ns on the fast one, with any amount in flight."""
    fast = Path(1, 10, in_flight=1 << 20)
    assert earliest(view([Path(0, 50)], [fast], window=4000)) == 0
    assert earliest(view([Path(0, 30)], [fast], window=4000)) == 4000
    assert earliest(view([Path(0, 30, in_flight=2000)], [fast], window=4000)) == 2000


@pytest.mark.parametrize("name", ["earliest", "ecf", "blest"])
def test_these_do_not_wait_for_what_they_know_nothing_of(name: str) -> None:
    assert given(name, view([SLOW], [NEW], left=100)) is not None
    assert given(name, view([NEW], [FAST], left=100)) is NEW
    assert given(name, view([FAST], [SLOW], left=100)) is FAST


def test_ecf_waits_if_the_fast_one_is_done_with_the_rest_before_the_slow_one_is() -> None:
    """Algorithm 1: (1 + k / cwnd) RTT of the fast one against RTT + delta of the slow one."""
    slow, fast = Path(0, 100), Path(1, 10)
    assert given("ecf", view([slow], [fast], left=8999)) is None
    assert given("ecf", view([slow], [fast], left=9000)) is slow
    assert given("ecf", view([Path(0, 100, rtt_variance_ns=1)], [fast], left=9000)) is None


@pytest.mark.parametrize("left", [1, 1000])
def test_ecf_takes_the_rest_of_a_transfer_for_a_round_trip_at_least(left: int) -> None:
    """As in the kernel module of its authors: otherwise the last segments use the slow subflow."""
    fast = Path(1, 20)
    assert given("ecf", view([Path(0, 50, cwnd=10_000)], [fast], left=left)) is None
    assert given("ecf", view([Path(0, 40, cwnd=10_000)], [fast], left=left)).number == 0


def test_ecf_does_not_wait_where_the_slow_one_is_hardly_slower() -> None:
    """The second condition: the slow one's time is less than two RTT of the fast one and delta."""
    fast = Path(1, 20)
    near, far = (Path(0, rtt, rtt_variance_ns=10) for rtt in (49, 50))
    assert given("ecf", view([near], [fast], left=1000)) is near
    assert given("ecf", view([far], [fast], left=1000)) is None


def test_ecf_goes_on_waiting_for_a_quarter_more() -> None:
    chosen, slow, fast = SCHEDULERS["ecf"](), Path(0, 100), Path(1, 10)
    assert chosen.assign(view([slow], [fast], left=11_499)) is not None
    assert chosen.assign(view([slow], [fast], left=8_000)) is None
    assert chosen.assign(view([slow], [fast], left=11_499)) is None
    assert chosen.assign(view([slow], [fast], left=11_500)) is not None
    assert chosen.assign(view([slow], [fast], left=9_000)) is not None


def test_blest_leaves_the_room_that_the_fast_one_will_need() -> None:
    """While the slow one's segment is away, the fast one sends (1000 + 100 * 4 / 2) * 5 octets."""
    slow, fast = Path(0, 50, in_flight=300), Path(1, 10)
    assert given("blest", view([slow], [fast], window=6399)) is None
    assert given("blest", view([slow], [fast], window=6400)) is slow
    assert given("blest", view([slow, Path(1, 10)], window=6399)) == Path(1, 10)


def test_blest_is_more_careful_after_a_block() -> None:
    chosen, slow, fast = SCHEDULERS["blest"](), Path(0, 50, in_flight=300), Path(1, 10)
    blocked = {"una": 1000, "next": 8000, "end": 9000, "edge": 8000}
    assert chosen.assign(View([fast], [slow], window=7000, **blocked)) is None
    for window, granted in ((6459, False), (6460, True)):  # 1.01 times 6000, and 400
        shown = view([slow], [fast], window=window, una=1000, next=1000)
        assert (chosen.assign(shown) is not None) is granted


def test_redundant_gives_each_what_it_lacks() -> None:
    fast, slow = Path(1, 10, carried=(1000, 1500)), Path(0, 20, carried=(1000, 1200))
    chosen = SCHEDULERS["redundant"]()
    assert chosen.assign(view([slow, fast], next=1500, left=600)) == (fast, 1500, 100)
    assert chosen.assign(view([slow], [fast], next=1500, left=600)) == (slow, 1200, 400)
    assert chosen.assign(view([slow], [fast], una=1300, next=1500, left=600)) == (slow, 1300, 300)


def test_daps_gives_a_slow_one_what_comes_after_that_which_others_deliver_meanwhile() -> None:
    """A window of 1000 octets in 10 ns, for the 20 ns by which the slow one's delay is longer."""
    chosen, slow = SCHEDULERS["daps"](), Path(0, 50)
    assert chosen.assign(view([slow], [FAST]))[:2] == (slow, 3000)  # type: ignore[index]
    assert chosen.assign(view([slow, FAST]))[:2] == (FAST, 1000)  # type: ignore[index]
    assert chosen.assign(view([slow], [FAST], left=2000)) is None
    gaps = [(1000, 2000)]
    shown = view([slow], [FAST], next=3500, gaps=gaps)
    assert chosen.assign(shown)[:2] == (slow, 3500)  # type: ignore[index]


def test_dems_has_paths_meet_in_the_middle() -> None:
    chosen, slow = SCHEDULERS["dems"](), Path(0, 50)
    assert chosen.assign(view([slow, FAST], left=9000)) == (FAST, 1000, NO_LIMIT)
    assert chosen.assign(view([slow], [FAST], left=9000)) == (slow, 9900, 100)
    behind = view([slow], [FAST], next=10_000, gaps=[(1000, 9900)], left=9000)
    assert chosen.assign(behind) == (slow, 9800, 100)
    window = view([slow], [FAST], left=9000, window=8000)
    assert chosen.assign(window) == (slow, 8900, 100)


def test_dems_leaves_to_the_fastest_what_a_slow_one_would_deliver_later() -> None:
    slow = Path(0, 50, in_flight=6000)  # done after 61 ns, with a segment more
    assert given("dems", view([slow], [FAST], left=6000)) is None
    assert given("dems", view([slow], [FAST], left=6200)) is slow


def test_otias_queues_on_a_fast_one_what_arrives_there_earlier() -> None:
    slow, fast = Path(0, 50), Path(1, 10, in_flight=1000)
    assert SCHEDULERS["otias"]().assign(view([slow], [fast])) == (fast, 1000, 100)
    later = Path(1, 10, in_flight=1000, queued=900)  # 15 ns
    assert given("otias", view([slow], [later])) is later
    assert given("otias", view([Path(0, 20)], [later])) == Path(0, 20)
    assert given("otias", view([Path(0, 60)], [Path(1, 10, in_flight=1000, queued=1000)])) is None


def test_linux_takes_the_least_queue_for_its_rate() -> None:
    """Each has 1000 octets in a round trip."""
    assert given("linux", view([Path(0, 20, in_flight=500), Path(1, 10, in_flight=900)])) == Path(
        1, 10, in_flight=900
    )
    assert given("linux", view([Path(0, 20, in_flight=400), Path(1, 10, in_flight=900)])) == Path(
        0, 20, in_flight=400
    )


def test_linux_gives_a_burst_of_64_kib_to_one() -> None:
    chosen = SCHEDULERS["linux"]()
    assert chosen.assign(view([SLOW, FAST])) == (SLOW, 1000, 65_428)
    rest = view([SLOW, FAST], next=61_000)
    assert chosen.assign(rest) == (SLOW, 61_000, 5_428)
    busy = Path(0, 20, in_flight=100)
    assert chosen.assign(view([busy, FAST], next=66_428)) == (FAST, 66_428, 65_428)


def test_linux_waits_where_the_chosen_one_takes_no_more() -> None:
    full = [Path(0, 20, in_flight=1000, queued=1000), Path(1, 10, in_flight=2000)]
    assert given("linux", view([], full)) is None
    assert given("linux", view([], [Path(0, 20, in_flight=1000, queued=900)])) is not None
