"""`testbed trace`: show traces of links, and make them of recordings."""

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
    from testbed.interchange.traces import Row

application = typer.Typer(
    no_args_is_help=True,
    help="Show link traces, and convert recordings to traces.\n\n"
    "\b\n    testbed trace show topologies/traces/starlink-down.csv\n\n"
    "\b\n    testbed trace convert ping.txt --output link.csv",
)
File = Annotated[Path, typer.Argument(metavar="FILE", help="The recording; - is standard input.")]
From = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="FORMAT", help="mahimahi, csv, iperf3 or ping; default: detect."
    ),
]
Step = Annotated[
    str, typer.Option(metavar="TIME", help="Length of a row (mahimahi), or the interval (ping).")
]


def show(file: File, kind: From = None, step: Step = "100ms", json: Json = False) -> None:
    """Show the duration, rates, delays and losses of a trace.

    Examples:

        testbed trace show topologies/traces/starlink-down.csv
        testbed trace show TMobile-LTE-driving.down --step 1s --json
    """
    rows = _read(file, kind, step)
    summary = _summary(rows)
    if json:
        print_json({"file": str(file), **summary, "rows": rows})
        return
    from rich.table import Table

    table = Table("column", "least", "median", "mean", "most", box=None, pad_edge=False)
    for name, values in summary["columns"].items():
        table.add_row(name, *(f"{value:g}" for value in values.values()))
    out = console()
    out.print(f"{file}: {summary['row_count']} rows, {summary['duration_s']:g} s")
    out.print(table)


def convert(
    file: File,
    kind: From = None,
    to: Annotated[str, typer.Option(metavar="FORMAT", help="csv or mahimahi.")] = "csv",
    step: Step = "100ms",
    output: Output = None,
) -> None:
    """Convert a recording to a trace: mahimahi, CSV of other tools, iperf3 --json, ping -D.

    CSV columns may have the usual names: time, bandwidth, throughput, latency, rtt, loss, with
    units like Mbps or ms in the name. A round-trip time is halved: use the trace for both
    directions.

    Examples:

        ping -D -i 0.2 192.0.2.1 | tee ping.txt; testbed trace convert ping.txt -o link.csv
        iperf3 -c 192.0.2.1 -R -t 60 --json | testbed trace convert - -o down.csv
    """
    from testbed.errors import InputError
    from testbed.hints import nearest
    from testbed.interchange import traces

    rows = _read(file, kind, step)
    if to == "mahimahi":
        text = traces.as_mahimahi(rows)
    elif to == "csv":
        text = traces.as_csv(rows, f"Converted from {file.name} by `testbed trace convert`.")
    else:
        hint = nearest(to, ("csv", "mahimahi"))
        raise InputError(f"there is no format {to!r} to write", hint=hint)
    if output is None:
        sys.stdout.write(text)
    else:
        write_file(output, text)


def _read(file: Path, kind: str | None, step: str) -> list[Row]:
    from testbed.errors import InputError
    from testbed.interchange import traces
    from testbed.units import parse_time

    step_ns = parse_time(step)
    if step_ns < 10**6:
        raise InputError(f"--step {step}: must be at least 1ms")
    data = octets(file, traces.MAX_BYTES)
    try:
        text = data.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise InputError("is not text in UTF-8", file=file) from None
    try:
        return traces.read(text, kind, step_s=step_ns / 1e9)
    except InputError as error:
        raise InputError(error.message, file=file, line=error.line, hint=error.hint) from None


def _summary(rows: list[Row]) -> dict[str, Any]:
    """Summarise rows, weighted by their duration."""
    import statistics

    from testbed.interchange import traces

    spells = list(traces.spells(rows))
    duration = spells[-1][1] - rows[0].time_s
    columns: dict[str, dict[str, float]] = {}
    for name in traces.COLUMNS[1:]:
        values = [
            (value, until - row.time_s)
            for row, until in spells
            if isinstance(value := getattr(row, name), float | int)
        ]
        if values:
            numbers = [value for value, _ in values]
            lasted = sum(lasts for _, lasts in values)
            columns[name] = {
                "least": min(numbers),
                "median": statistics.median(numbers),
                "mean": sum(value * lasts for value, lasts in values) / lasted,
                "most": max(numbers),
            }
    return {"row_count": len(rows), "duration_s": duration, "columns": columns}


for _function in (show, convert):
    application.command(_function.__name__, help=help_of(_function))(_function)
