"""The common part of commands that change a running sandbox."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from testbed.cli import completion
from testbed.cli.output import print_json
from testbed.text import clean

if TYPE_CHECKING:
    from testbed.topology.present import AnyChange

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only print the equivalent commands.")]
Link = Annotated[str, typer.Argument(help="One of its links.", autocompletion=completion.links)]
Host = Annotated[
    str, typer.Argument(help="One of its hosts or routers.", autocompletion=completion.hosts)
]


def carry_out(name: str, change: AnyChange, *, dry_run: bool, json: bool) -> None:
    """Change a running sandbox, and print the equivalent commands.

    :raises TestbedError: nothing was changed.
    """
    import asyncio

    from testbed.sandbox import Changed, Sandbox

    async def change_it() -> Changed:
        async with await Sandbox.connect(name) as sandbox:
            return await sandbox.change(change, dry_run=dry_run)

    changed = asyncio.run(change_it())
    if json:
        print_json(changed)
        return
    for command in changed.commands:
        sys.stdout.write(clean(command) + "\n")
