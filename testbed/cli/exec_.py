"""``testbed exec``: run a program in a node."""

from __future__ import annotations

from typing import Annotated

import typer

from testbed.cli.options import Node, Sandbox

CONTEXT_SETTINGS = {"allow_interspersed_args": False}


def command(
    name: Sandbox,
    node: Node,
    argv: Annotated[list[str], typer.Argument(help="The program and its arguments.")],
) -> None:
    """Run a program in a node, on this terminal.

    Its exit status is ours (128 + the number of a signal that killed it). It ends when we do, and
    when the sandbox does.

    Examples:

        testbed exec lab client -- ip -br address
        testbed exec lab client -- ping -c 3 10.0.1.2
        testbed exec lab server -- ss -Mtin
        testbed exec lab @wire -- tc -s qdisc
    """
    raise typer.Exit(run_in(name, node, program(argv)))


def program(argv: list[str]) -> list[str]:
    """Return a program and its arguments, with or without "--" in front."""
    found = argv[1:] if argv[0] == "--" else argv
    if not found:
        raise typer.BadParameter("there is no program to run")
    return found


def run_in(name: str, node: str, argv: list[str]) -> int:
    """Run a program in a node of a running sandbox; return its exit status."""
    import asyncio
    import os

    from testbed.sandbox import Sandbox, attach

    async def find() -> attach.Entrance:
        async with await Sandbox.connect(name) as sandbox:
            return await sandbox.entrance(node)

    environment = {**os.environ, "TESTBED_SANDBOX": name, "TESTBED_NODE": node}
    return attach.run(asyncio.run(find()), argv, environment=environment)
