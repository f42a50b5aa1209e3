"""``testbed shell``: a shell in a node."""

from __future__ import annotations

import typer

from testbed.cli.options import Node, Sandbox


def command(
    name: Sandbox,
    node: Node,
) -> None:
    """Open a shell in a node ($SHELL, or /bin/sh).

    In the shell each node is a network namespace of that name: "ip netns exec server ss -tln"
    works. The variables TESTBED_SANDBOX and TESTBED_NODE have the names of the sandbox and the
    node.

    Examples:

        testbed shell lab client
        testbed shell lab @wire
    """
    import os

    from testbed.cli.exec_ import run_in

    raise typer.Exit(run_in(name, node, [os.environ.get("SHELL", "/bin/sh")]))
