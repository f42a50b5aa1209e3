"""``testbed address``: add or delete an address of an interface of a running sandbox."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from testbed.cli import completion, live
from testbed.cli.options import Json, Sandbox


def command(
    name: Sandbox,
    node: live.Host,
    verb: Annotated[Literal["add", "del"], typer.Argument(help="Add or delete it.")],
    address: Annotated[
        str,
        typer.Argument(
            help="An address with its prefix length.", autocompletion=completion.addresses
        ),
    ],
    interface: Annotated[
        str,
        typer.Argument(help="The interface of the address.", autocompletion=completion.interfaces),
    ],
    dry_run: live.DryRun = False,
    json: Json = False,
) -> None:
    """Add or delete an interface's address in a running sandbox.

    Rules and routes change with it. On a host that routes by source, a new address gets a rule for
    the table of its interface. An address that returns gets the routes that the kernel had flushed.

    Examples:

        testbed address lab client add 10.9.0.1/24 wifi
        testbed address lab client del 10.0.1.1/24 wifi
        testbed address lab client add fd00:9::1/64 wifi --dry-run
    """
    from testbed.topology.present import AnyChange, GiveAddress, TakeAddress

    kind = GiveAddress if verb == "add" else TakeAddress
    change: AnyChange = kind(node=node, interface=interface, address=address)
    live.carry_out(name, change, dry_run=dry_run, json=json)
