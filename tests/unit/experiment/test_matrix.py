"""Which runs there are, and in which order."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import InputError
from testbed.experiment.matrix import MAX_RUNS, check_size, expand, run_seed, schedule, traffic_seed
from testbed.workload.stacks.choice import parse

STACKS = [parse("tcp"), parse("mptcp")]
MATRIX = {"links.wifi.delay": ["10ms", "40ms"], "workload.via": ["wifi", "lte", None]}


def test_every_combination_is_a_cell_once():
    cells = expand(MATRIX, STACKS)
    assert len(cells) == 12
    assert len({(cell.stack, *cell.parameters.values()) for cell in cells}) == 12
    assert cells[0].stack == "tcp"
    assert cells[1].stack == "mptcp"
    assert cells[0].parameters == cells[1].parameters
    assert cells[0].parameters == {"links.wifi.delay": "10ms", "workload.via": "wifi"}


def test_without_a_matrix_each_stack_is_a_cell():
    assert [cell.parameters for cell in expand({}, STACKS)] == [{}, {}]


@given(
    repetitions=st.integers(1, 8),
    seed=st.integers(0, 2**63 - 1),
    values=st.lists(st.integers(), min_size=1, max_size=5, unique=True),
)
def test_each_repetition_is_a_block_with_every_cell_once(repetitions, seed, values):
    cells = expand({"workload.count": values}, STACKS)
    runs = schedule(cells, repetitions, seed)
    assert [run.number for run in runs] == list(range(1, len(cells) * repetitions + 1))
    for index in range(repetitions):
        block = runs[index * len(cells) : (index + 1) * len(cells)]
        assert {run.repetition for run in block} == {index + 1}
        assert Counter(run.cell.identity for run in block) == Counter(
            cell.identity for cell in cells
        )


def test_blocks_are_shuffled_and_the_seed_decides():
    cells = expand({"workload.count": list(range(10))}, STACKS)
    runs = schedule(cells, 3, 1)
    orders = [
        tuple(cells.index(run.cell) for run in runs[start : start + 20]) for start in (0, 20, 40)
    ]
    assert len({tuple(range(20)), *orders}) == 4
    assert schedule(cells, 3, 1) == runs
    assert schedule(cells, 3, 2) != runs


def test_more_repetitions_leave_the_first_ones_alone():
    cells = expand(MATRIX, STACKS)
    assert schedule(cells, 9, 1)[:36] == schedule(cells, 3, 1)


def test_runs_have_seeds_of_their_own():
    runs = schedule(expand(MATRIX, STACKS), 5, 1)
    assert len({run.seed for run in runs}) == len(runs)
    assert all(0 <= run.seed < 2**63 for run in runs)


def test_a_seed_does_not_depend_on_the_place_in_the_matrix():
    small = expand({"workload.count": [7]}, STACKS[1:])[0]
    large = expand({"workload.count": [1, 2, 7]}, STACKS)[5]
    assert run_seed(1, small, 2) == run_seed(1, large, 2)


def test_what_could_never_end_is_refused_before_it_is_expanded():
    axis = list(range(1000))
    check_size({"workload.count": axis}, STACKS, MAX_RUNS // 2000)
    with pytest.raises(InputError, match="2000000000000 runs"):
        check_size({"a": axis, "b": axis, "c": axis, "d": axis}, STACKS, 1)


def test_an_option_of_stacks_is_an_axis_of_those_that_have_it():
    stacks = [parse("tcp"), parse("userspace"), parse("userspace(congestion=reno)/mptcp")]
    cells = expand({"stack.scheduler": ["ecf", "round_robin"], "workload.count": [1, 2]}, stacks)
    points = [(cell.stack, *cell.parameters.values()) for cell in cells]
    assert points[:5] == [
        ("tcp", 1),
        ("userspace", 1, "ecf"),
        ("userspace", 1, "round_robin"),
        ("userspace(congestion=reno)/mptcp", 1, "ecf"),
        ("userspace(congestion=reno)/mptcp", 1, "round_robin"),
    ]
    assert len(cells) == 10
    assert {cell.point["workload.count"] for cell in cells} == {1, 2}
    assert all(set(cell.point) == {"workload.count"} for cell in cells)


def test_what_flows_do_is_the_same_for_stacks_that_are_compared():
    cells = expand({"stack.scheduler": ["ecf", "round_robin"]}, [parse("tcp"), parse("userspace")])
    runs = schedule(cells, 2, seed=1)
    seeds = {(run.repetition, traffic_seed(1, run, "video")) for run in runs}
    assert len(seeds) == 2
    assert traffic_seed(1, runs[0], "video") != traffic_seed(1, runs[0], "bulk")
