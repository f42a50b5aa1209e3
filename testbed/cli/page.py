"""`testbed page`: show pages of the workload `web`, and make them of browsers' recordings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from testbed.cli.helptext import of as help_of
from testbed.cli.input import octets
from testbed.cli.options import Json, Output
from testbed.cli.output import console, print_json, write_file

if TYPE_CHECKING:
    from testbed.document import Document
    from testbed.workload.page import PageSpec

application = typer.Typer(
    no_args_is_help=True,
    help="Show pages of the workload web, and convert recordings.\n\n"
    "\b\n    testbed page show experiments/pages/shop.yaml\n\n"
    "\b\n    testbed page convert shop.har --output shop.yaml",
)


def show(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="The page, or a recording; - is standard input."),
    ],
    json: Json = False,
) -> None:
    """Show the objects of a page, the objects that each waits for, and the longest chain.

    For a browser's recording (HAR) it shows the page that `convert` would write.

    Examples:

        testbed page show experiments/pages/shop.yaml
        testbed page show shop.yaml --json

        testbed page convert shop.har | testbed page show -
    """
    from testbed.workload import page

    written = _document(file)
    objects = page.resolved(written)
    depths = page.depths(objects)
    total = sum(each.octets for each in objects)
    rows = [
        {
            "name": spec.name,
            "octets": it.octets,
            "depth": depth,
            "after": [
                {"name": written.value.objects[other].name, "octets": most}
                for other, most in it.after
            ],
            "delay_s": it.delay_ns / 1e9,
            "think_s": it.think_ns / 1e9,
        }
        for spec, it, depth in zip(written.value.objects, objects, depths, strict=True)
    ]
    if json:
        summary = {"object_count": len(rows), "octets": total, "depth": max(depths)}
        print_json({"file": str(file), **summary, "objects": rows})
        return
    out = console()
    count = "1 object" if len(rows) == 1 else f"{len(rows)} objects"
    out.print(f"{file}: {count}, {total} octets, at most {max(depths)} in a row")
    out.print(_table(rows))


def _document(file: Path) -> Document[PageSpec]:
    """Return a page, or the page made from a recording. Raises InputError."""
    from testbed import document
    from testbed.interchange import har, pages
    from testbed.workload.page import PageSpec

    text = octets(file, har.MAX_BYTES)
    if har.is_one(text):
        text = pages.as_yaml(_converted(file, text)).encode()
    return document.loads(text, PageSpec, str(file))


def _table(rows: list[dict[str, Any]]) -> Any:
    from rich.table import Table

    table = Table("object", "octets", "depth", "after", "delay", "think", box=None, pad_edge=False)
    for row in rows:
        table.add_row(
            row["name"],
            str(row["octets"]),
            str(row["depth"]),
            ", ".join(f"{each['name']} ({each['octets']})" for each in row["after"]),
            *(f"{row[name] * 1e3:g} ms" if row[name] else "" for name in ("delay_s", "think_s")),
        )
    return table


def convert(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The recording, HAR; - is standard input.")
    ],
    description: Annotated[
        str, typer.Option(metavar="TEXT", help="Description for the new file.")
    ] = "",
    thinking: Annotated[
        bool, typer.Option("--think/--no-think", help="Keep the computing times of the server.")
    ] = True,
    output: Output = None,
) -> None:
    """Convert a browser's recording (HAR, from its developer tools) to a page.

    In the browser, reload the page with an empty cache, and save all as HAR. Cached and failed
    objects are left out. The objects that an object waits for come from Chromium's `_initiator`, or
    else from its Referer.

    Examples:

        testbed page convert shop.har --description "front page of a shop" -o shop.yaml
        testbed page convert - < shop.har
    """
    from testbed.interchange import har, pages

    text = pages.as_yaml(
        _converted(file, octets(file, har.MAX_BYTES), description, thinking=thinking),
        (f"Converted from {file.name} by `testbed page convert`.",),
    )
    if output is None:
        sys.stdout.write(text)
    else:
        write_file(output, text)


def _converted(
    file: Path, text: bytes, description: str = "", *, thinking: bool = True
) -> PageSpec:
    from testbed.errors import InputError
    from testbed.interchange import har

    try:
        return har.read(text, description, thinking=thinking)
    except InputError as error:
        raise InputError(error.message, file=file, hint=error.hint) from None


for _function in (show, convert):
    application.command(_function.__name__, help=help_of(_function))(_function)
