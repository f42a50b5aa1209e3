"""``testbed check``: whether files are right, without running anything."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from testbed.cli.options import Json
from testbed.cli.output import print_json


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was found out about one file."""

    file: str
    kind: str  # topology or experiment
    ok: bool
    summary: str = ""
    error: str = ""
    line: int | None = None
    path: str | None = None
    hint: str | None = None


def command(
    files: Annotated[list[Path], typer.Argument(help="Topologies or experiments, as YAML.")],
    json: Json = False,
) -> None:
    """Check topologies and experiments without running anything.

    Whether a file is an experiment is told by its keys. Prints one line for each file; the exit
    code is 2 if one of them is wrong.

    Examples:

        testbed check topologies/two_paths.yaml
        testbed check experiments/*.yaml --json
    """
    reports = [_check(file) for file in files]
    if json:
        print_json(reports)
    else:
        for report in reports:
            typer.echo(f"{report.file}: {report.summary}" if report.ok else report.error)
    if not all(report.ok for report in reports):
        raise typer.Exit(2)


def _check(file: Path) -> Report:
    from testbed.errors import InputError

    kind = "file"
    try:
        kind = _kind(file)
        summary = _experiment(file) if kind == "experiment" else _topology(file)
    except InputError as error:
        return Report(
            file=str(file),
            kind=kind,
            ok=False,
            error=str(error),
            line=error.line,
            path=error.path,
            hint=error.hint,
        )
    return Report(file=str(file), kind=kind, ok=True, summary=summary)


def _kind(file: Path) -> str:
    from typing import Any

    from testbed import document

    raw = document.load(file, Any).raw
    is_experiment = isinstance(raw, dict) and not {"topology", "stacks", "workload"}.isdisjoint(raw)
    return "experiment" if is_experiment else "topology"


def _topology(file: Path) -> str:
    from testbed.topology.load import load_topology
    from testbed.topology.plan import plan
    from testbed.topology.resolve import resolve

    topology = resolve(load_topology(file))
    counts = (
        (len(topology.nodes), "node"),
        (len(topology.links), "link"),
        (sum(link.wire for link in topology.links), "wire"),
        (len(plan(topology).operations), "operation"),
    )
    words = ", ".join(f"{count} {word}{'' if count == 1 else 's'}" for count, word in counts)
    return f"topology, {words}"


def _experiment(file: Path) -> str:
    from testbed.experiment.load import load

    experiment = load(file)
    cells, repetitions = len(experiment.cells), experiment.spec.repetitions
    text = f"experiment, {cells} cells, {cells * repetitions} runs"
    where = ", ".join(experiment.spec.machines)
    return f"{text}, each on {where}" if where else text
