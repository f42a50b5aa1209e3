"""``testbed plan``: the steps that build a topology."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from testbed.cli.options import Json, TopologyFile, WireSeed
from testbed.cli.output import print_json

if TYPE_CHECKING:
    from testbed.topology.operations import Plan


def command(
    file: TopologyFile,
    other: Annotated[
        Path | None,
        typer.Option("--diff", help="Print removed (-) and added (+) commands instead."),
    ] = None,
    seed: WireSeed = 0,
    json: Json = False,
) -> None:
    """Print how a topology is built, as iproute2 commands.

    Nothing is built. ``@wire`` is the namespace of the wires and switches.

    Examples:

        testbed plan topologies/two_paths.yaml
        testbed plan topologies/two_paths.yaml --diff topologies/three_paths.yaml
    """
    from testbed.topology.diff import diff

    mine = _plan(file, seed)
    if other is None:
        if json:
            print_json(mine)
            return
        for operation in mine.operations:
            typer.echo(str(operation))
        return
    difference = diff(mine, _plan(other, seed))
    if json:
        print_json(difference)
        return
    for sign, operations in (("-", difference.removed), ("+", difference.added)):
        for operation in operations:
            typer.echo(f"{sign} {operation}")


def _plan(file: Path, seed: int) -> Plan:
    from testbed.shipped import TOPOLOGIES, located
    from testbed.topology.load import load_topology
    from testbed.topology.plan import planned

    return planned(load_topology(located(file, TOPOLOGIES)), seed=seed)
