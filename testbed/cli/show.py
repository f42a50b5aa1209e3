"""`testbed show`: print results again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from testbed.cli.options import Json, Metrics, TestFormat, metric_names
from testbed.cli.output import check_documents, console, print_json, tell
from testbed.errors import StoreError


def command(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A result folder.")],
    runs: Annotated[bool, typer.Option("--runs", help="Also show each run.")] = False,
    metrics: Metrics = None,
    wanted: TestFormat = None,
    json: Json = False,
) -> None:
    """Print the results in a folder again.

    The folder may be a copy, or contain only some of the runs. If files are damaged, standard error
    names them, and the exit code is 1.

        testbed show results/quickstart/20260314T150926Z-1a2b3c4d

        testbed show --runs DIR

        testbed show --metrics goodput,rtt_p95,@wifi.share DIR

        testbed show --format ktap DIR

    --format prints the result as a test in the kernel's format, with runs and expectations as
    subtests. A failed run is "not ok"; an inconclusive expectation is skipped.
    """
    from testbed.campaign.runner import conclude, records
    from testbed.cli.tables import print_outcome, print_runs
    from testbed.results.store import Store

    check_documents(json=json, format=wanted)
    store = Store.open(directory)
    chosen = metric_names(metrics)
    damage: list[StoreError] = []
    outcome = conclude(store, chosen, on_damage=damage.append)
    every = records(store, chosen, lambda _: None) if runs else ()
    if wanted is not None:
        from testbed.cli.formats import print_tests

        print_tests([(store, outcome)], wanted)
    elif json:
        print_json(
            {"folder": str(directory), "summary": outcome, **({"runs": every} if runs else {})}
        )
    else:
        print_outcome(console(), outcome, directory)
        if runs:
            print_runs(console(), every, outcome)
    for error in damage:
        tell(error)
    if damage:
        raise typer.Exit(1)
