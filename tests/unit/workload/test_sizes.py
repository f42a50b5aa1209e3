"""When transfers begin, and how large they are."""

from __future__ import annotations

import itertools
import random
import statistics

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.document import structured
from testbed.workload import bulk
from testbed.workload.base import Workload
from testbed.workload.sizes import Arrivals, Sizes
from testbed.workload.spec import Bulk

SECOND = 1_000_000_000


def read(**fields):
    return structured({"kind": "bulk", "from": "a", "to": "b", **fields}, Workload)


def drawn(sizes, count=2000):
    rng = random.Random(1)
    return [sizes.draw(rng) for _ in range(count)]


def test_uniform_sizes_are_between_their_bounds():
    found = drawn(Sizes(uniform=("1KB", "2KB")))
    assert 1024 <= min(found) < 1040
    assert 2030 < max(found) <= 2048


def test_lognormal_sizes_have_the_median_they_were_given():
    sizes = msgspec.convert({"lognormal": {"median": "20KB", "sigma": 1}}, Sizes)
    assert statistics.median(drawn(sizes)) == pytest.approx(20 * 1024, rel=0.1)


def test_shares_are_kept():
    found = drawn(Sizes(shares={"10KB": 7, "1MB": 3}))
    assert set(found) == {10 * 1024, 1024 * 1024}
    assert found.count(10 * 1024) / len(found) == pytest.approx(0.7, abs=0.05)


def test_arrivals_at_equal_distances_begin_at_the_start():
    transfers = read(size="1KB", arrivals={"every": "200ms"}, start="1s", stop="2s").sessions(1)
    assert [transfer.at_ns for transfer in transfers] == [
        SECOND + index * 200_000_000 for index in range(5)
    ]
    assert [transfer.job.session for transfer in transfers] == list(range(5))


def test_poisson_arrivals_have_their_rate_and_none_is_at_the_start():
    transfers = read(size="1KB", arrivals={"poisson": 50}, stop="40s").sessions(3)
    times = [transfer.at_ns for transfer in transfers]
    assert len(times) == pytest.approx(2000, rel=0.1)
    assert times[0] > 0
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert statistics.stdev(gaps) == pytest.approx(SECOND / 50, rel=0.1)


def test_a_later_stop_leaves_sizes_and_times_as_they_were():
    sizes = {"uniform": ["1KB", "9KB"]}
    few, many = (
        read(size=sizes, arrivals={"poisson": 20}, stop=stop).sessions(5) for stop in ("1s", "2s")
    )
    assert len(few) < len(many)
    assert many[: len(few)] == few


def test_connections_side_by_side_have_different_payloads():
    jobs = [session.job for session in read(size="1KB", count=3).sessions(9)]
    assert [job.session for job in jobs] == [0, 1, 2]
    assert {job.seed for job in jobs} == {9}


@given(number=st.integers(1, 50), every=st.integers(1, 10**9))
def test_a_number_of_arrivals_is_kept(number, every):
    arrivals = Arrivals(every=f"{every}ns", number=number)
    assert len(list(arrivals.times_ns(0, None, random.Random(1)))) == number


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"arrivals": {"every": "1ns"}, "size": 1, "stop": "1s"}, "more than 10000 arrivals"),
        ({"arrivals": {"every": "1s"}, "size": 1}, "need an end"),
        ({"arrivals": {"every": "1s"}, "duration": "1s"}, "need `size`"),
        ({"arrivals": {"every": "1s"}, "size": 1, "count": 2, "stop": "9s"}, "exclude each other"),
        ({"arrivals": {"poisson": 1e-307}, "size": 1, "stop": "9s"}, "poisson"),
        ({"arrivals": {"every": "1s", "poisson": 3}, "size": 1, "stop": "9s"}, "either `every`"),
        ({"arrivals": {}, "size": 1, "stop": "9s"}, "either `every`"),
        ({"size": {"uniform": ["2KB", "1KB"]}}, "from the smaller"),
        ({"size": {}}, "sizes need exactly one of"),
        ({"size": {"shares": {"1KB": 0}}}, "must be more than 0"),
        ({"size": {"shares": {"1KB": 1000, "a lot": 1e-9}}}, "a lot"),
        ({"size": 1, "start": "2s", "stop": "1s"}, "`stop` must come after"),
        ({}, "either `size` or `duration`"),
        ({"size": 1, "duration": "1s"}, "not both"),
    ],
)
def test_what_is_wrong_with_them_is_said(fields, message):
    with pytest.raises(msgspec.ValidationError, match=message):
        read(**fields)


def test_only_a_flow_in_the_background_may_have_no_end():
    assert read(background=True).endless
    assert not read(background=True, duration="5s").endless
    flow = read(stop="7s")
    assert isinstance(flow, Bulk)
    job = flow.sessions(1)[0].job
    assert isinstance(job, bulk.Job)
    assert (flow.longest_ns, job.duration_ns) == (7 * SECOND, 7 * SECOND)
