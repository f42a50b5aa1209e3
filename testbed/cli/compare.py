"""`testbed compare`: hold results against others."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from testbed.cli import completion
from testbed.cli.options import Json, metric_names
from testbed.cli.output import check_documents, console, print_json, write_file

if TYPE_CHECKING:
    from testbed.analysis.comparison import Comparison, Terms
    from testbed.analysis.sides import Side

Metrics = Annotated[
    str | None,
    typer.Option(
        metavar="A,B",
        help="Only these metrics; `testbed metrics` lists all.",
        autocompletion=completion.metrics,
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        min=0,
        help="The smallest relevant change [default: 0.05, 0.005 in virtual time, any with --sim].",
    ),
]
Across = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FACT",
        help="A fact that may differ: kernel, checkout, ..., environment (all of it) or "
        "experiment; may be given again.",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Compare in spite of any difference.")]
Strict = Annotated[bool, typer.Option("--strict", help="Fail if a change is inconclusive.")]
Markdown = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Also write it as Markdown; - is standard output."),
]
Junit = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Also write it as JUnit XML; - is standard output."),
]


def command(
    base: Annotated[Path, typer.Argument(metavar="BASE", help="A result folder.")],
    news: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[NEW...]", help="Result folders to compare with it."),
    ] = None,
    base_cells: Annotated[
        str | None, typer.Option("--base", metavar="SELECTOR", help="Cells of BASE.")
    ] = None,
    new_cells: Annotated[
        str | None,
        typer.Option("--new", metavar="SELECTOR", help="Cells of NEW to compare with them."),
    ] = None,
    where: Annotated[
        str | None, typer.Option(metavar="SELECTOR", help="Only these cells of all folders.")
    ] = None,
    metrics: Metrics = None,
    threshold: Threshold = None,
    across: Across = None,
    force: Force = False,
    strict: Strict = False,
    markdown: Markdown = None,
    junit: Junit = None,
    json: Json = False,
) -> None:
    """Compare results metric by metric, with a verdict for each.

    Equal cells are compared: the same stack with the same parameters. The verdict is regressed or
    improved if the change is significant and at least as large as the threshold. It is pass if a
    change for the worse of that size is excluded. Otherwise it is inconclusive, and the command
    prints how many repetitions would decide it. Exit code 3: a metric regressed.

        testbed compare results/quickstart/BEFORE results/quickstart/AFTER

        testbed compare --across kernel --metrics goodput,rtt_p95 BEFORE AFTER

    A selector is NAME=VALUE[,NAME=VALUE...]. A NAME is stack, or a parameter of the matrix. --base
    and --new compare cells that differ in these names. Both may be in one folder:

        testbed compare --base stack=tcp --new stack=mptcp FOLDER

        testbed compare --base links.wifi.delay=10ms --new links.wifi.delay=40ms FOLDER

    Folders of different environments or experiments are refused. The message names the differences.
    """
    from testbed.campaign.sides import of_folder

    check_documents(json=json, markdown=markdown, junit=junit)
    terms = terms_of(metrics, threshold, across, force=force)
    sides = [of_folder(path, terms.metrics) for path in (base, *(news or [base]))]
    found = selected(sides, terms, base_cells, new_cells, where)
    conclude(found, json=json, markdown=markdown, junit=junit)
    sys.exit(exit_code(found, strict=strict))


def terms_of(
    metrics: str | None, threshold: float | None, across: list[str] | None, *, force: bool
) -> Terms:
    """Return the terms that the options define."""
    from testbed.analysis.comparison import Terms

    return Terms(
        metrics=metric_names(metrics),
        threshold=threshold,
        across=frozenset(across or ()),
        force=force,
    )


def selected(
    sides: list[Side],
    terms: Terms,
    base_cells: str | None = None,
    new_cells: str | None = None,
    where: str | None = None,
) -> Comparison:
    """Compare sides, or cells of them. The first side is the base.

    :raises InputError: a selector fits no cell, or there is nothing to compare.
    """
    import msgspec

    from testbed.analysis import likeness
    from testbed.analysis.comparison import compare
    from testbed.analysis.sides import named_apart, select, selector
    from testbed.errors import InputError

    base, *news = sides
    likeness.check(terms.across, base)
    mine, its, both = (selector(text) if text else {} for text in (base_cells, new_cells, where))
    if sides[1:] == [base] and mine == its:
        raise InputError(
            f"{base.name} cannot be compared with itself",
            hint="name another folder, or cells: --base stack=tcp --new stack=mptcp",
        )
    base = named_apart(select(base, both | mine), mine)
    news = [named_apart(select(new, both | its), its) for new in news]
    return compare(
        base, news, msgspec.structs.replace(terms, apart=frozenset(mine) | frozenset(its))
    )


def conclude(
    found: Comparison, *, json: bool, markdown: Path | None = None, junit: Path | None = None
) -> None:
    """Print a comparison as text or JSON, and write the requested files."""
    from testbed.cli import changes, documents

    for path, document in ((markdown, documents.markdown), (junit, documents.junit)):
        if path is None:
            continue
        text = document(found)
        if str(path) == "-":
            sys.stdout.write(text)
        else:
            write_file(path, text)
    if json:
        print_json(changes.plain(found))
    elif Path("-") not in (markdown, junit):
        changes.print_comparison(console(), found)


def exit_code(found: Comparison, *, strict: bool) -> int:
    """Return 3 for a regression, 1 for an undecided change if that counts, else 0."""
    if found.regressed:
        return 3
    return int(strict and found.inconclusive)
