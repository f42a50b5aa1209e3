"""Figures for papers: files are reproducible, curves differ without colour, data are included."""

from __future__ import annotations

import csv
import json

import msgspec
import pytest

pytest.importorskip("matplotlib", reason="matplotlib is not installed")
parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")

from typer.testing import CliRunner  # noqa: E402

from testbed.analysis.statistics import Interval  # noqa: E402
from testbed.cli.application import application  # noqa: E402
from testbed.report import data, paper  # noqa: E402
from testbed.report.building import Options, build  # noqa: E402
from testbed.report.figures import Distribution, Sample  # noqa: E402
from testbed.report.publishing import publish  # noqa: E402
from testbed.report.style import Style  # noqa: E402

FIGURE = Distribution(
    name="goodput",
    metric="goodput",
    unit="bit/s",
    definition="",
    samples=tuple(
        Sample(
            label=f"stack $x_{style}$ <b>",
            group="delay = 10ms",
            style=style,
            values=(1e7 * (style + 1), 1.1e7 * (style + 1)),
            mean=1.05e7 * (style + 1),
            interval=Interval(1e7 * (style + 1), 1.1e7 * (style + 1)),
        )
        for style in range(4)
    ),
)


@pytest.mark.parametrize("draw", [paper.strip, paper.ecdf])
def test_files_are_the_same_each_time(draw, tmp_path) -> None:
    written = []
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        with paper.styled(Style.TWO_COLUMN):
            files = paper.save(draw(FIGURE, Style.TWO_COLUMN), tmp_path / place / "figure")
        written.append([file.read_bytes() for file in files])
    assert written[0] == written[1]
    svg, pdf, png = written[0]
    assert b"<svg" in svg
    assert pdf.startswith(b"%PDF")
    assert b"/CreationDate" not in pdf
    assert b"/Type3" not in pdf
    assert png.startswith(b"\x89PNG")


@pytest.mark.parametrize(("style", "inches"), [(Style.ONE_COLUMN, 6.3), (Style.TWO_COLUMN, 3.4)])
def test_width_and_text_suit_the_page(style, inches) -> None:
    with paper.styled(style):
        figure = paper.ecdf(FIGURE, style)
        figure.draw_without_rendering()
    assert figure.get_figwidth() == inches
    (axes,) = figure.axes
    sizes = [text.get_fontsize() for text in (*axes.get_xticklabels(), axes.xaxis.label)]
    assert min(sizes) >= 7


def test_curves_differ_without_colour() -> None:
    with paper.styled(Style.TWO_COLUMN):
        (curves,) = paper.ecdf(FIGURE, Style.TWO_COLUMN).axes
        (dots,) = paper.strip(FIGURE, Style.TWO_COLUMN).axes
    dashes = {str(vars(line)["_dash_pattern"]) for line in curves.lines}
    markers = {line.get_marker() for line in dots.lines if line.get_linestyle() == "None"}
    assert len(dashes) == len(markers) == 4


def test_data_are_what_is_drawn(tmp_path) -> None:
    as_csv, as_parquet = data.save(data.of_distribution(FIGURE), tmp_path / "goodput")
    table = parquet.read_table(as_parquet).to_pydict()
    assert table["value"] == [value for sample in FIGURE.samples for value in sample.values]
    assert set(table["unit"]) == {"bit/s"}
    with as_csv.open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["value"]) for row in rows] == table["value"]
    assert [row["stack"] for row in rows] == table["stack"]


def test_all_figures_of_a_folder(simulated, tmp_path) -> None:
    target = tmp_path / "figures"
    arguments = ["report", str(simulated), "-o", str(tmp_path / "page.html"), "--json"]
    arguments += ["--figures", str(target), "--style", "one-column", "--run", "1"]
    done = CliRunner().invoke(application, arguments)
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert sorted(said["figures"]) == sorted(map(str, target.iterdir()))
    names = {file.name for file in target.iterdir()}
    for name in ("silent-goodput", "silent-duration", "silent-run-0001"):
        assert {f"{name}.{suffix}" for suffix in ("svg", "pdf", "png", "csv", "parquet")} <= names
    table = parquet.read_table(target / "silent-run-0001.parquet").to_pydict()
    assert set(table["run"]) == {1}
    assert {"Goodput", "Round-trip time"} <= set(table["quantity"])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("draw", [paper.strip, paper.ecdf])
def test_control_characters_in_names_are_written_out(draw, tmp_path) -> None:
    sample = msgspec.structs.replace(FIGURE.samples[0], label="x\x1b[31my")
    figure = msgspec.structs.replace(FIGURE, samples=(sample,))
    with paper.styled(Style.TWO_COLUMN):
        svg, *_ = paper.save(draw(figure, Style.TWO_COLUMN), tmp_path / "figure")
    assert "x\\x1b[31my" in svg.read_text()


def test_names_do_not_lead_elsewhere(folder, tmp_path) -> None:
    path = folder / "experiment.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"name": "../../x\x1b[31m/y"}))
    built, _ = build([folder], Options(runs=(1,)))
    files = publish(built, tmp_path / "figures", Style.TWO_COLUMN)
    assert {file.parent for file in files} == {tmp_path / "figures"}
    assert all(file.name.startswith("x-31m-y-") for file in files)
