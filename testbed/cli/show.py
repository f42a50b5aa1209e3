"""`testbed show`: print results again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from testbed.cli.options import Json
from testbed.cli.output import console, print_json


def command(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A result folder.")],
    runs: Annotated[bool, typer.Option("--runs", help="Also show every single run.")] = False,
    json: Json = False,
) -> None:
    """Print the results in a folder again.

    The folder may be a copy, or hold only some of its runs.

        testbed show results/quickstart/20260314T150926Z-1a2b3c4d

        testbed show --runs DIR
    """
    from testbed.cli.tables import print_outcome, print_runs
    from testbed.experiment.runner import conclude
    from testbed.results.store import Store

    store = Store.open(directory)
    outcome = conclude(store)
    if json:
        records = {"runs": store.runs()} if runs else {}
        print_json({"folder": str(directory), "summary": outcome, **records})
        return
    print_outcome(console(), outcome, directory)
    if runs:
        print_runs(console(), store.runs(), outcome.headline)
