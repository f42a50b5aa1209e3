"""``testbed address``: give an address to an interface of a running sandbox, or take it away."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from testbed.cli import completion, live
from testbed.cli.options import Json, Sandbox


def command(
    name: Sandbox,
    node: live.Host,
    verb: Annotated[Literal["add", "del"], typer.Argument(help="What is done.")],
    address: Annotated[
        str,
        typer.Argument(help="An address with prefix length.", autocompletion=completion.addresses),
    ],
    interface: Annotated[
        str,
        typer.Argument(help="Of this interface.", autocompletion=completion.interfaces),
    ],
    dry_run: live.DryRun = False,
    json: Json = False,
) -> None:
    """Give an address to an interface of a running sandbox, or take it away.

    Rules and routes follow: a new address of a host that routes by source has a rule for its
    interface's table; one that comes back has the routes again that the kernel had flushed.

    Examples:

        testbed address lab client add 10.9.0.1/24 wifi
        testbed address lab client del 10.0.1.1/24 wifi
        testbed address lab client add fd00:9::1/64 wifi --dry-run
    """
    from testbed.topology.present import AnyChange, GiveAddress, TakeAddress

    kind = GiveAddress if verb == "add" else TakeAddress
    change: AnyChange = kind(node=node, interface=interface, address=address)
    live.carry_out(name, change, dry_run=dry_run, json=json)
