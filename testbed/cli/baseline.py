"""`testbed baseline`: keep how an experiment came out, and check that it still does."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from testbed.cli import completion
from testbed.cli.compare import Across, Force, Junit, Markdown, Metrics, Strict, Threshold
from testbed.cli.helptext import of as help_of
from testbed.cli.options import Json, metric_names
from testbed.cli.output import check_documents, console, print_json, tell

if TYPE_CHECKING:
    from testbed.analysis.sides import Side

application = typer.Typer(
    no_args_is_help=True,
    help="Keep results, and compare later runs with them.\n\n"
    "\b\n    testbed baseline save quickstart results/quickstart/20260314T150926Z-1a2b3c4d\n\n"
    "\b\n    testbed baseline check quickstart",
)
Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="Name of the baseline.", autocompletion=completion.baselines
    ),
]
Directory = Annotated[Path, typer.Option(help="The folder of the baselines.")]
_DIRECTORY = Path("results/baseline")


def save(
    name: Name,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A result folder.")],
    metrics: Metrics = None,
    directory: Directory = _DIRECTORY,
) -> None:
    """Keep the numbers of a result folder in a small file, for git.

    It contains the samples of each cell, the experiment and the environment. Without --metrics it
    contains the main metrics of the experiment.

        testbed run --sim experiments/quickstart.yaml

        testbed baseline save quickstart results/quickstart/20260314T150926Z-1a2b3c4d
    """
    from testbed.campaign import baselines
    from testbed.campaign.sides import of_folder

    chosen = metric_names(metrics)
    path = baselines.place(directory, name)
    baselines.save(path, of_folder(folder, chosen), chosen)
    console().print(f"Baseline: {path}", soft_wrap=True)


def check(
    name: Name,
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="A result folder; default: run again.")
    ] = None,
    directory: Directory = _DIRECTORY,
    results: Annotated[
        Path | None, typer.Option(help="Keep the result folder of the new runs here.")
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
    """Run the experiment of a baseline again and compare, as `testbed compare` does.

    The baseline contains the experiment, which runs in the same machine again. Exit code 3: a
    metric regressed, or in virtual time: a number changed. If the change is intended, save the
    baseline again, and commit it with the change.

        testbed baseline check quickstart

        testbed baseline check quickstart results/quickstart/20260314T150926Z-1a2b3c4d
    """
    from testbed.campaign import baselines
    from testbed.campaign.sides import of_folder
    from testbed.cli import compare
    from testbed.cli.again import run_again

    check_documents(json=json, markdown=markdown, junit=junit)
    base = baselines.read(baselines.place(directory, name))
    terms = compare.terms_of(metrics, threshold, [*(across or ()), *baselines.ACROSS], force=force)
    wanted = terms.metrics or base.headline
    with tempfile.TemporaryDirectory(prefix="testbed-") as scratch:
        where = results or Path(scratch)
        made = folder or run_again(
            base.experiment, base.spec, base.environment.machine, where, json=json
        )
        new = of_folder(made, wanted, name="now" if folder is None else None)
        found = compare.selected([base, new], terms)
    compare.conclude(found, json=json, markdown=markdown, junit=junit)
    if found.exact and found.changed:
        console(stderr=True).print(
            f"testbed: the numbers differ from those of the baseline {name}; if the change is "
            f"intended, save it with `testbed baseline save {name} FOLDER` and commit the file",
            soft_wrap=True,
        )
        sys.exit(3)
    sys.exit(compare.exit_code(found, strict=strict))


def list_(directory: Directory = _DIRECTORY, json: Json = False) -> None:
    """List the baselines.

    Each baseline is one file of the folder. Standard error names the damaged ones, and then the
    exit code is 1.

        testbed baseline list
    """
    from testbed.campaign import baselines
    from testbed.errors import TestbedError

    found: dict[str, Side] = {}
    damaged = False
    for path in sorted(directory.glob("*.json")):
        try:
            found[path.stem] = baselines.read(path)
        except TestbedError as error:
            damaged = True
            tell(error)
    if json:
        print_json(
            [
                {"name": name, "experiment": it.experiment, "machine": it.environment.machine}
                for name, it in found.items()
            ]
        )
    else:
        _print_table(found)
    raise typer.Exit(int(damaged))


def _print_table(found: Mapping[str, Side]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("baseline", "experiment", "machine", "cells", "metrics"):
        table.add_column(column)
    for name, it in found.items():
        cells = str(len(it.cells))
        table.add_row(name, it.experiment, it.environment.machine, cells, ", ".join(it.headline))
    console().print(table)


for _name, _command in (("save", save), ("check", check), ("list", list_)):
    application.command(_name, help=help_of(_command))(_command)
