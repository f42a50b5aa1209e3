"""``testbed with-stack``: an unmodified program over the userspace stack."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from testbed.cli import completion
from testbed.cli.exec_ import program
from testbed.cli.options import Argv

CONTEXT_SETTINGS = {"allow_interspersed_args": False}


Stack = Annotated[
    str,
    typer.Argument(
        metavar="STACK",
        help="userspace or userspace-tcp, with parameters as in experiments.",
        autocompletion=completion.our_stacks,
    ),
]
Report = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Append a description of each connection, as JSON lines."),
]
Verbose = Annotated[
    bool,
    typer.Option("-v", "--verbose", help="Describe each connection when it ends."),
]


def command(
    stack: Stack,
    argv: Argv,
    report: Report = None,
    verbose: Verbose = False,
) -> None:
    """Run a program, unmodified, over the userspace stack.

    In this network namespace, our stack carries the TCP connections of the program and of its
    descendants. Their other sockets stay the kernel's. Static programs work too: nothing is loaded
    into the program. The command needs the right to open packet sockets. Root has it; "testbed
    exec" and "unshare -rn" give it. With userspace(device=tun0) it is not needed, but the TUN
    interface tun0 must belong to this user. docs/programs.md says what is covered.

    The exit status is the program's; if a signal ended the program, it ends this command too. The
    command ends when the program and its descendants have ended and their data is delivered. If the
    command is killed, they are killed too.

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
