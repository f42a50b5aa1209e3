"""``testbed shell``: a shell in a node."""

from __future__ import annotations

import typer

from testbed.cli.options import Node, Sandbox


def command(
    name: Sandbox,
    node: Node,
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
