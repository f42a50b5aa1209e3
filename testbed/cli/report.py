"""`testbed report`: results as a page, and as figures for a paper."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from testbed.cli.options import Json, Metrics, metric_names
from testbed.cli.output import console, print_json, write_file
from testbed.report.style import Style

if TYPE_CHECKING:
    from testbed.report.building import Built

_NAME: Final = "report.html"


def command(
    directories: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Result folders.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The page to write.")
    ] = Path(_NAME),
    metrics: Metrics = None,
    run: Annotated[
        list[int] | None,
        typer.Option(metavar="NUMBER", help="Show this run over time; may be given again."),
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also write figures for a paper, and their data, here."),
    ] = None,
    style: Annotated[
        Style, typer.Option(help="The width of figures: for one or two columns per page.")
    ] = Style.TWO_COLUMN,
    json: Json = False,
) -> None:
    """Write results as one HTML file, and as figures for a paper.

    The page needs no network and no other file. Standard error names the damaged files of a folder;
    the page shows the rest. Figures are SVG, PDF and PNG, with their data as CSV and Parquet.

        testbed report results/quickstart/20260314T150926Z-1a2b3c4d

        testbed report -o both.html DIR DIR

        testbed report --metrics goodput,rtt_p95 --run 3 DIR

        testbed report --figures figures --style one-column DIR
    """
    from testbed.report.building import Options, build, page

    chosen = metric_names(metrics)
    built, damage = build(directories, Options(metrics=chosen, runs=tuple(run or ())))
    text = page(built, damage)
    write_file(output, text)
    files = [] if figures is None else _published(built, figures, style)
    if json:
        said = {"page": str(output), "octets": len(text.encode()), "damage": damage}
        print_json({**said, "figures": files})
        return
    for line in damage:
        console(stderr=True).print(f"could not be read: {line}", soft_wrap=True)
    console().print(f"Page: {output}", soft_wrap=True)
    if figures is not None:
        console().print(f"Figures: {len(files)} files in {figures}", soft_wrap=True)


def _published(built: list[Built], directory: Path, style: Style) -> list[str]:
    from testbed.errors import InputError
    from testbed.report.publishing import publish

    try:
        return [str(file) for file in publish(built, directory, style)]
    except OSError as error:
        raise InputError(
            f"figures cannot be written to {directory}: {error.strerror}",
            hint="choose another --figures",
        ) from error
