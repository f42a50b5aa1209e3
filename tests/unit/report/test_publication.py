"""The page of a publication, and figures in the form of a paper."""

from __future__ import annotations

import re

import msgspec
import pytest

from testbed.errors import InputError
from testbed.papers.judging import judged
from testbed.papers.load import load
from testbed.papers.measured import Measured, MeasuredCell, MeasuredSide
from testbed.papers.spec import Side
from testbed.papers.template import new
from testbed.report.publication import index_of, page_of
from testbed.report.published_figures import data, drawn

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
    # The other stacks are relative to this one.
    assert "tcp 4mbit" not in found.svg.replace("mptcp 4mbit", "")


def with_figure(folder, figure):
    published = folder / "published.yaml"
    published.write_text(
        published.read_text()
        + f"figures: [{{title: T, experiment: example, metric: goodput, {figure}}}]\n"
    )
    return load(folder)


def test_the_benefit_is_over_what_the_paths_gave_alone(folder):
    """The paths alone give 10 and 4 Mbit/s: 12 is half of the second's gain, 5 half of the best.

    The median of three repetitions counts, so that one of 1 Gbit/s changes nothing.
    """
    paper = with_figure(
        folder,
        "form: cdf, benefit_over: tcp, paths: links.one.rate, stacks: [mptcp], "
        "points: [{label: half of them, value: 0, share: 0.5, where: f, read: literally}]",
    )
    (side,) = measured(paper).sides
    goodputs = {"tcp": {"4mbit": 10e6, "8mbit": 4e6}, "mptcp": {"4mbit": 12e6, "8mbit": 5e6}}
    cells = [
        msgspec.structs.replace(cell, values={"goodput": (usual, 1e9, usual)})
        for cell in side.cells
        for usual in (goodputs[cell.stack][cell.parameters["links.one.rate"]],)
    ]
    values = Measured(sides=(msgspec.structs.replace(side, cells=tuple(cells)),))
    found = data(paper, values, paper.published.figures[0])
    assert {datum.stack for datum in found} == {"mptcp"}
    assert sorted(datum.value.value for datum in found) == [-0.5, -0.5, 0.5, 0.5]
    shown = drawn(paper, values, paper.published.figures[0])
    assert "experimental aggregation benefit" in shown.svg
    assert "published: half of them" in shown.svg
    assert len(shown.marks) == 1


def test_axes_have_the_labels_that_were_asked_for(folder):
    paper = with_figure(
        folder,
        "form: heatmap, x: links.one.rate, y: links.two.rate, x_label: first rate, y_label: second",
    )
    shown = drawn(paper, measured(paper), paper.published.figures[0]).svg
    assert "mptcp: goodput, second down, first rate across" in shown
    assert "links.one.rate" not in shown


def test_a_distribution_may_have_a_logarithmic_axis(folder):
    paper = with_figure(folder, "form: cdf, logarithmic: true")
    shown = drawn(paper, measured(paper), paper.published.figures[0]).svg
    assert re.findall(r'class="tick" text-anchor="middle">([0-9.]+)<', shown) == [
        "1",
        "2",
        "5",
        "10",
    ]


@pytest.mark.parametrize(
    ("figure", "wrong"),
    [
        ("form: bars, logarithmic: true", "cannot have 'logarithmic'"),
        ("form: cdf, benefit_over: tcp", "need each other"),
        ("form: cdf, benefit_over: tcp, paths: links.no.rate", "is not a parameter of example"),
        (
            "form: cdf, benefit_over: tcp, relative_to: tcp, paths: links.one.rate",
            "cannot be used with 'benefit_over'",
        ),
    ],
)
def test_a_figure_that_makes_no_sense_is_refused(folder, figure, wrong):
    with pytest.raises(InputError, match=wrong):
        with_figure(folder, figure)


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
    assert "The differences from the publication, and the reasons." in text
    assert "<h3>What we changed</h3>" in text
    assert re.search('class="word (not-)?reproduced">', text)
    assert "<script>:" not in text
    assert "failed: &lt;script&gt;" in text


def test_the_text_of_a_publication_has_no_markup_of_markdown(folder):
    source = folder / "source.md"
    source.write_text(
        source.read_text()
        + "\nAn `option` of [a page](page.md).\n\n| a | b |\n| --- | --- |\n| `1` | 2 |\n"
    )
    paper = load(folder)
    text = page_of(paper, Measured(), judged(paper, Measured()))
    assert "An option of a page." in text
    assert re.search(r"<td[^>]*>1</td>\s*<td[^>]*>2</td>", text)


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
