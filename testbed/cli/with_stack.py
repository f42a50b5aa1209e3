"""``testbed with-stack``: an unmodified program over the userspace stack."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from testbed.cli import completion
from testbed.cli.exec_ import program
from testbed.cli.options import Argv

CONTEXT_SETTINGS = {"allow_interspersed_args": False}


def command(
    stack: Annotated[
        str,
        typer.Argument(
            metavar="STACK",
            help="userspace or userspace-tcp, with parameters as in experiments.",
            autocompletion=completion.our_stacks,
        ),
    ],
    argv: Argv,
    report: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads it at run time
        typer.Option(metavar="FILE", help="Append what the connections were, as JSON lines."),
    ] = None,
    verbose: Annotated[
        bool,
        typer.Option("-v", "--verbose", help="Say of each connection how it was, when it ends."),
    ] = False,
) -> None:
    """Run a program, unmodified, over the userspace stack.

    The TCP sockets of the program and of all that it starts become connections of our stack, in
    this network namespace; its other sockets stay the kernel's. Static programs work, too: nothing
    is loaded into them. The right to open packet sockets is needed: root has it, "testbed exec"
    gives it, and so does "unshare -rn". With userspace(device=tun0) it is not, if the TUN interface
    tun0 is this user's. docs/programs.md says what is covered.

    The exit status is the program's, and the signal that ended it is ours, too. The command ends
    when all that the program has started has ended, and their data is delivered. If it is killed,
    so are they.

    Exit codes of its own: 2 bad input; 4 this process may not open packet sockets or the TUN
    interface, or seccomp user notification is not permitted; 126, 127 the program cannot be run.

    Examples:

        testbed with-stack userspace -- curl http://10.0.1.2/
        testbed with-stack "userspace(scheduler=blest)" -- iperf3 -c 10.0.1.2
        testbed with-stack "userspace(device=tun0)" -- curl http://10.9.0.1/
        testbed with-stack -v userspace-tcp -- python3 -m http.server 8080
        testbed exec lab client --stack userspace -- curl http://10.0.1.2/
    """
    import os
    import sys

    from testbed.host.netcat import describe
    from testbed.workload import with_stack
    from testbed.workload.stacks.choice import ours

    def told(connection: Any) -> None:
        if verbose:
            for line in (str(connection.flow), *describe(connection.info())):
                print(f"testbed: {line}", file=sys.stderr, flush=True)

    chosen = ours(stack)
    status = with_stack.run(program(argv), chosen.name, chosen.decoded, report, os.environ, told)
    with_stack.end_like(status)
