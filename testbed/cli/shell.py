"""``testbed shell``: a shell in a node."""

from __future__ import annotations

from typing import Annotated

import typer


def command(
    name: Annotated[str, typer.Argument(help="A running sandbox.")],
    node: Annotated[str, typer.Argument(help="One of its nodes, or @wire.")],
) -> None:
    """Open a shell in a node ($SHELL, or /bin/sh).

    All nodes are network namespaces by name there: "ip netns exec server ss -tln" works. The
    variables TESTBED_SANDBOX and TESTBED_NODE say where you are.

    Examples:

        testbed shell lab client
        testbed shell lab @wire
    """
    import os

    from testbed.cli.exec_ import run_in

    raise typer.Exit(run_in(name, node, [os.environ.get("SHELL", "/bin/sh")]))
