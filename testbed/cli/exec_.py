"""``testbed exec``: run a program in a node."""

from __future__ import annotations

from typing import Annotated

import typer

from testbed.cli import completion
from testbed.cli.options import Argv, Node, Sandbox
from testbed.errors import InputError

CONTEXT_SETTINGS = {"allow_interspersed_args": False}


Stack = Annotated[
    str | None,
    typer.Option(
        metavar="STACK",
        help="Run it over userspace or userspace-tcp, with parameters as in experiments.",
        autocompletion=completion.our_stacks,
    ),
]


def command(
    name: Sandbox,
    node: Node,
    argv: Argv,
    stack: Stack = None,
) -> None:
    """Run a program in a node, on this terminal.

    The exit status is the program's, or 128 + N if signal N killed it. The program ends when this
    command or the sandbox ends. With --stack, our stack carries its TCP connections, as with
    "testbed with-stack".

    Examples:

        testbed exec lab client -- ip -br address
        testbed exec lab client -- ping -c 3 10.0.1.2
        testbed exec lab server -- ss -Mtin
        testbed exec lab @wire -- tc -s qdisc
        testbed exec lab client --stack userspace -- curl http://10.0.1.2/
    """
    if stack is None:
        stack, argv = _stack_of(argv)
    found = program(argv)
    raise typer.Exit(run_in(name, node, found if stack is None else over(stack, found)))


def _stack_of(argv: list[str]) -> tuple[str | None, list[str]]:
    """Return the value of a --stack after the node's name, and the words after it."""
    option, equals, value = argv[0].partition("=")
    if option != "--stack":
        return None, argv
    rest = argv[1:] if equals else argv[2:]
    if not rest:
        raise InputError(
            "--stack needs a value and a program after it",
            hint="for example --stack userspace -- curl URL",
        )
    return value if equals else argv[1], rest


def over(stack: str, argv: list[str]) -> list[str]:
    """Return the command line that runs a program over our own stack. Raises InputError."""
    import sys

    from testbed.workload.stacks.choice import ours

    ours(stack)  # reported here, before a namespace is entered
    return [sys.executable, "-m", "testbed", "with-stack", stack, "--", *argv]


def program(argv: list[str]) -> list[str]:
    """Return a program and its arguments, without an initial "--"."""
    found = argv[1:] if argv[0] == "--" else argv
    if not found:
        raise InputError("there is no program to run", hint="write it after the options")
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
