"""``testbed down``: end a running sandbox."""

from __future__ import annotations

from typing import Annotated

import typer

from testbed.cli import completion
from testbed.cli.output import console


def command(
    names: Annotated[
        list[str],
        typer.Argument(
            help="Names of running sandboxes.",
            metavar="NAME...",
            autocompletion=completion.sandboxes,
        ),
    ],
) -> None:
    """End running sandboxes, with everything in them.

    No topology file is needed. The command returns when their processes have ended; the kernel
    frees their network namespaces right after.

    Examples:

        testbed down lab
        testbed down lab other
    """
    import asyncio

    from testbed.sandbox import Sandbox

    async def end(name: str) -> None:
        sandbox = await Sandbox.connect(name)
        await sandbox.stop()

    for name in names:
        asyncio.run(end(name))
        console().print(f"{name} is down")
