"""``testbed link``: take a link of a running sandbox down, bring it up, or make it a blackhole."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from testbed.cli import live
from testbed.cli.options import Json, Sandbox


def command(
    name: Sandbox,
    link: live.Link,
    state: Annotated[Literal["up", "down", "blackhole"], typer.Argument(help="The new state.")],
    dry_run: live.DryRun = False,
    json: Json = False,
) -> None:
    """Take a link down, bring it up, or make it a blackhole.

    "down": both ends lose the carrier, so the hosts see it. "blackhole": the wire loses every
    packet, and the hosts see nothing; the link must have a wire. "up" ends both states, and
    restores addresses, routes and the former loss.

    Examples:

        testbed link lab wifi down
        testbed link lab wifi blackhole
        testbed link lab wifi up
        testbed link lab wifi down --dry-run
    """
    from testbed.topology.present import SetLinkState

    live.carry_out(name, SetLinkState(link=link, state=state), dry_run=dry_run, json=json)
