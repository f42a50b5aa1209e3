"""`testbed metrics`: the metrics for expectations, tables and comparisons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from testbed.cli.options import Json
from testbed.cli.output import console, print_json, tell_left_out

if TYPE_CHECKING:
    from testbed.metric import Metric

_FORMS: Final = {
    "flow": "[FLOW.]{}",
    "path": "[FLOW]@LINK.{}",
    "wire": "LINK>NODE.{}",
    "run": "{}",
}


def command(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[METRIC...]", help="Only these metrics.")
    ] = None,
    json: Json = False,
) -> None:
    """List the metrics, with their units and definitions.

    Claims (`expect`) and `testbed show --metrics` use these names. A prefix names the subject of
    the number: a flow, if an experiment has several; the part of a flow on one link; or one
    direction of a link, by the node it leads to.

        testbed metrics

        testbed metrics rtt_p95 share
    """
    from testbed.analysis.registry import broken, metrics, unknown

    known = metrics()
    for name in names or ():
        if name not in known:
            raise unknown(name, known)
    chosen = [known[name] for name in names or known]
    if json:
        print_json(chosen)
    else:
        _print(chosen)
    tell_left_out(broken())


def _print(metrics: list[Metric]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("metric", "unit", "better", "from", "definition"):
        table.add_column(column, no_wrap=column != "definition")
    for metric in metrics:
        names = "\n".join(_form(metric, subject) for subject in metric.of)
        table.add_row(names, metric.unit, metric.better, metric.source, metric.definition)
    console().print(table)


def _form(metric: Metric, subject: str) -> str:
    if metric.several and subject == "flow":
        return f"FLOW.{metric.name}"
    return _FORMS[subject].format(metric.name)
