"""`testbed report`: results as a page, and as figures for a paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from testbed.cli.options import Json
from testbed.cli.output import console, print_json

_NAME: Final = "report.html"


def command(
    directories: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Result folders.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The page to write.")
    ] = Path(_NAME),
    metrics: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Show these metrics; `testbed metrics` lists them."),
    ] = None,
    run: Annotated[
        list[int] | None,
        typer.Option(metavar="NUMBER", help="Show this run over time; may be repeated."),
    ] = None,
    json: Json = False,
) -> None:
    """Write results as one HTML file.

    It needs no network and no other file. What is damaged in a folder is named in one line, and
    the rest is shown.

        testbed report results/quickstart/20260314T150926Z-1a2b3c4d

        testbed report -o both.html DIR DIR

        testbed report --metrics goodput,rtt_p95 --run 3 DIR
    """
    from testbed.report.building import Options, build, page

    chosen = () if metrics is None else tuple(filter(None, metrics.split(",")))
    built, damage = build(directories, Options(metrics=chosen, runs=tuple(run or ())))
    text = page(built, damage)
    output.write_text(text, encoding="utf-8")
    if json:
        print_json({"page": str(output), "octets": len(text.encode()), "damage": damage})
        return
    for line in damage:
        console(stderr=True).print(f"could not be read: {line}", soft_wrap=True)
    console().print(f"Page: {output}", soft_wrap=True)
