"""The page of a publication, and figures in the form of a paper."""

from __future__ import annotations

import re

import msgspec
import pytest

from testbed.papers.judging import judged
from testbed.papers.load import load
from testbed.papers.measured import Measured, MeasuredCell, MeasuredSide
from testbed.papers.spec import Side
from testbed.papers.template import new
from testbed.report.publication import index_of, page_of
from testbed.report.published_figures import drawn

AXES = "matrix: {links.one.rate: [4mbit, 8mbit], links.two.rate: [4mbit, 8mbit]}\nrepetitions: 1"


@pytest.fixture
def folder(tmp_path):
    new("trial", tmp_path)
    folder = tmp_path / "trial"
    example = folder / "example.yaml"
    example.write_text(example.read_text().replace("repetitions: 1", AXES))
    published = folder / "published.yaml"
    head, _, _ = published.read_text().partition("values:")
    published.write_text(
        head
        + "values:\n  - {claim: adds_up, label: theirs, metric: goodput, value: 7mbit, where: f, "
        + "read: literally, experiment: example, stacks: [mptcp], "
        + "parameters: {links.one.rate: 4mbit, links.two.rate: 8mbit}}\n"
    )
    return folder


def measured(paper):
    """Return goodputs that grow from cell to cell, of the kernel's stacks."""
    experiment = paper.experiments["example"]
    cells = [cell for cell in experiment.cells if experiment.sides[cell.stack] is Side.KERNEL]
    side = MeasuredSide(
        experiment="example",
        side=Side.KERNEL,
        machine="uml:7.3+virtual-time",
        kernel="7.3.4",
        digest=experiment.digest,
        cells=tuple(
            MeasuredCell(
                stack=cell.stack,
                parameters=cell.parameters,
                values={"goodput": (1e6 * n, 1.2e6 * n)},
                wrong=("failed: <script>",) if n == 1 else (),
            )
            for n, cell in enumerate(cells, 1)
        ),
    )
    return Measured(sides=(side,))


FORMS = {
    "bars": "form: bars, x: links.one.rate, where: {links.two.rate: 8mbit}",
    "cdf": "form: cdf",
    "lines": "form: lines, x: links.two.rate, where: {links.one.rate: 4mbit}",
    "heatmap": "form: heatmap, x: links.one.rate, y: links.two.rate",
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_drawn_with_what_was_published(folder, form):
    published = folder / "published.yaml"
    figure = f"figures: [{{title: T, {FORMS[form]}, experiment: example, metric: goodput}}]\n"
    published.write_text(published.read_text() + figure)
    paper = load(folder)
    (wanted,) = paper.published.figures
    found = drawn(paper, measured(paper), wanted)
    assert found.svg.count("mptcp") >= 1
    assert re.search("published:? theirs", found.svg)
    assert len(found.marks) == 1
    areas = {"bars": "area k", "cdf": "line k", "lines": "dot k", "heatmap": "heat h9"}
    assert areas[form] in found.svg


def test_a_figure_of_ratios_marks_published_ratios(folder):
    published = folder / "published.yaml"
    text = published.read_text().replace("value: 7mbit", "value: 1.9, relative_to: tcp")
    how = f"{FORMS['bars']}, relative_to: tcp"
    figure = f"figures: [{{title: T, {how}, experiment: example, metric: goodput}}]\n"
    published.write_text(text + figure)
    paper = load(folder)
    found = drawn(paper, measured(paper), paper.published.figures[0])
    assert "goodput relative to tcp" in found.svg
    assert "published: theirs" in found.svg
    assert "tcp 4mbit" not in found.svg.replace("mptcp 4mbit", "")  # it is what others are over


def test_a_figure_without_values_says_so(folder):
    published = folder / "published.yaml"
    figure = "figures: [{title: T, form: cdf, experiment: example, metric: goodput}]\n"
    published.write_text(published.read_text() + figure)
    paper = load(folder)
    assert "nothing was measured" in drawn(paper, Measured(), paper.published.figures[0]).svg


def test_the_page_has_claims_and_numbers_and_where_they_come_from(folder):
    paper = load(folder)
    values = measured(paper)
    text = page_of(paper, values, judged(paper, values))
    assert "Over two idle paths a transfer gets at least 1.5 times" in text
    assert "7.00 Mbit/s" in text
    assert "uml:7.3+virtual-time" in text
    assert "all cells" in text
    assert "What is different here, and why." in text
    assert "<script>:" not in text
    assert "failed: &lt;script&gt;" in text


def test_what_was_measured_of_another_experiment_is_not_drawn(folder):
    published = folder / "published.yaml"
    figure = "figures: [{title: T, form: cdf, experiment: example, metric: goodput}]\n"
    published.write_text(published.read_text() + figure)
    paper = load(folder)
    (side,) = measured(paper).sides
    part = msgspec.structs.replace(side, cells=side.cells[:2])
    old = Measured(sides=(msgspec.structs.replace(side, digest="another"),))
    assert "nothing was measured" in page_of(paper, old, judged(paper, old))
    new = Measured(sides=(part,))
    assert "a sample: 2 of 8 cells" in page_of(paper, new, judged(paper, new))


def test_one_page_names_those_of_all(folder):
    paper = load(folder)
    text = index_of([judged(paper, measured(paper))], {"trial": "trial/report.html"})
    assert '<a href="trial/report.html">The title of the publication</a>' in text
    assert "Over two idle paths a transfer gets at least 1.5 times" in text
