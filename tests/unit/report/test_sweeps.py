"""A metric over a parameter: which ones have numbers, what stands where, what is missing."""

from __future__ import annotations

import itertools

import pytest

from testbed.analysis.asked import Asked
from testbed.analysis.outcome import outcome
from testbed.report import answers, plots
from testbed.report.axes import parameter
from testbed.report.data import of_sweeps
from testbed.report.sweeps import MOST, over_parameters, shown, swept
from testbed.results.model import Cell, RunRecord, Status

STACKS = ("tcp", "mptcp")


def drawn(matrix, *, missing=()):
    """Return the figures of a matrix; cells in ``missing`` have only invalid runs."""
    points = [
        dict(zip(matrix, values, strict=True)) for values in itertools.product(*matrix.values())
    ]
    cells = tuple(Cell(stack=stack, parameters=point) for point in points for stack in STACKS)
    asked = Asked(
        name="it",
        description="",
        stacks=STACKS,
        parameters=matrix,
        cells=cells,
        repetitions=2,
        headline=("goodput",),
        claims=(),
    )
    runs = [
        RunRecord(
            number=2 * index + again,
            stack=cell.stack,
            parameters=cell.parameters,
            repetition=again,
            seed=1,
            status=Status.INVALID if index in missing else Status.OK,
            started_at="",
            seconds=1.0,
            metrics={"goodput": 1e6 * (index + 1 + again)},
        )
        for index, cell in enumerate(cells)
        for again in (0, 1)
    ]
    summary = outcome(asked, runs)
    return asked, summary, runs, swept(asked, summary, answers.styles_of(asked))


@pytest.mark.parametrize(
    ("values", "places", "logarithmic"),
    [
        (["10ms", "1s", "200ms"], (0.01, 0.2, 1.0), True),
        (["0%", "2.5%"], (0.0, 0.025), False),
        (["4mbit", "1gbit"], (4e6, 1e9), True),
        (["64kb", "1mb"], (65536.0, 1048576.0), False),
        ([4, 1.5, 2], (1.5, 2.0, 4.0), False),
        ([-1, 100], (-1.0, 100.0), False),
    ],
)
def test_numbers_are_read_in_their_unit(values, places, logarithmic) -> None:
    _, _, _, (figure,) = drawn({"links.lte.x": values})
    assert figure.values == pytest.approx(places)
    assert figure.logarithmic is logarithmic
    assert {*figure.written} == {*map(str, values)}


@pytest.mark.parametrize(
    "values",
    [
        ["cubic", "bbr"],
        [True, False],
        ["10ms", "4mbit"],
        ["10ms"],
        ["inf", "nan"],
        ["10ms", "slow"],
    ],
)
def test_what_has_no_numbers_is_no_axis(values) -> None:
    assert drawn({"links.lte.x": values})[3] == []


def test_the_others_tell_figures_apart_and_the_longest_comes_first() -> None:
    *_, figures = drawn(
        {"cc": ["cubic", "reno"], "loss": ["0%", "1%"], "delay": ["1ms", "2ms", "4ms"]}
    )
    assert [each.parameter for each in figures] == ["delay"] * 4 + ["loss"] * 6
    assert [each.group for each in figures[:2]] == [
        "cc = cubic, loss = 0%",
        "cc = cubic, loss = 1%",
    ]
    assert len({(each.low, each.high) for each in figures}) == 1
    section = over_parameters(figures)
    assert [fold.open for fold in section.blocks[1:]] == [True, False]


def test_a_cell_without_runs_breaks_its_line_and_is_named() -> None:
    _, _, _, (figure,) = drawn({"delay": ["1ms", "2ms", "4ms"]}, missing=[3])
    tcp, mptcp = figure.lines
    assert [len(part) for part in tcp.parts] == [3]
    assert [len(part) for part in mptcp.parts] == [1, 1]
    fold = over_parameters([figure]).blocks[1]
    assert fold.blocks[0].figures[0].marks == ("mptcp at 2ms: no run counts",)
    columns = of_sweeps([figure])
    row = {name: column[-2] for name, column in columns.items()}
    assert (row["value"], row["number"], row["mean"], row["runs"], row["planned"]) == (
        "2ms",
        0.002,
        None,
        0,
        2,
    )


def test_a_cell_without_runs_has_a_row_among_the_repetitions() -> None:
    asked, summary, runs, _ = drawn({"delay": ["1ms", "2ms"]}, missing=[3])
    (figure,) = answers.sampled(asked, summary, runs, answers.styles_of(asked))
    assert [sample.mean is None for sample in figure.samples] == [False, False, False, True]
    assert plots.strip(figure).count("no run counts") == 1
    assert all(sample.values for part in answers.functions(figure) for sample in part.samples)


def test_nothing_is_drawn_where_no_run_counts() -> None:
    asked, summary, runs, figures = drawn({"delay": ["1ms", "2ms"]}, missing=range(4))
    assert figures == []
    (said,) = answers.results(asked, summary, runs).blocks
    assert said.text.startswith("No run counts yet")
    assert over_parameters([]) is None


def test_texts_of_close_values_do_not_overlap() -> None:
    _, _, _, (figure,) = drawn({"delay": [f"{10 + each}ms" for each in range(60)]})
    axis = parameter(figure, 0.02)
    places = [axis.place(tick) for tick, _ in axis.ticks]
    assert 3 < len(places) < 15
    assert all(after - before >= 5 * 0.02 for before, after in itertools.pairwise(places))


def test_of_many_combinations_some_are_drawn_and_that_is_said() -> None:
    *_, figures = drawn({"a": list(range(20)), "b": [1, 2]})
    of = [each for each in figures if each.parameter == "b"]
    assert len(of) == 20
    assert len(shown(of)) == MOST
    fold = over_parameters(of).blocks[1]
    assert len(fold.blocks[0].figures) == MOST
    assert fold.blocks[1].text.startswith("8 more combinations")
