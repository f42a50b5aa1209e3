"""``testbed link``: take a link of a running sandbox down, bring it up, or have it swallow all."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from testbed.cli import live
from testbed.cli.options import Json, Sandbox


def command(
    name: Sandbox,
    link: live.Link,
    state: Annotated[Literal["up", "down", "blackhole"], typer.Argument(help="What it shall be.")],
    dry_run: live.DryRun = False,
    json: Json = False,
) -> None:
    """Take a link of a running sandbox down, bring it up, or have it swallow every packet.

    Hosts notice that a link is down: they lose the carrier. A blackhole tells nobody; it needs a
    wire. "up" ends either, with the addresses, routes and the loss that were there before.

    Examples:

        testbed link lab wifi down
        testbed link lab wifi blackhole
        testbed link lab wifi up
        testbed link lab wifi down --dry-run
    """
    from testbed.topology.present import SetLinkState

    live.carry_out(name, SetLinkState(link=link, state=state), dry_run=dry_run, json=json)
