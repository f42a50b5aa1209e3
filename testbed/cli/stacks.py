"""`testbed stacks`: what an experiment can run on, and what can be chosen of each."""

from __future__ import annotations

from typing import Final

from testbed.cli.options import Json
from testbed.cli.output import console, print_json

_WIDTH: Final = 13


def command(json: Json = False) -> None:
    """List the stacks and their options.

    An experiment writes them as NAME or NAME(OPTION=VALUE, ...), and SOURCE/TARGET for two ends
    that differ.

        testbed stacks

        testbed run --stack 'userspace(scheduler=ecf)' experiments/quickstart.yaml
    """
    from testbed.stack.mptcp.path_manager import PATH_MANAGERS
    from testbed.stack.mptcp.scheduler import SCHEDULERS
    from testbed.stack.tcp.congestion import CONTROLS
    from testbed.workload.stacks.options import names
    from testbed.workload.stacks.registry import KINDS

    registries = {
        "scheduler": SCHEDULERS.summaries(),
        "path_manager": PATH_MANAGERS.summaries(),
        "congestion": CONTROLS.summaries(),
    }
    if json:
        print_json(
            {
                "stacks": [
                    {
                        "name": kind.name,
                        "protocol": kind.protocol,
                        "in_kernel": kind.in_kernel,
                        "summary": kind.summary,
                        "options": names(kind),
                    }
                    for kind in KINDS.values()
                ],
                "ours": registries,
            }
        )
        return
    from rich.text import Text

    out = console()
    for kind in KINDS.values():
        out.print(Text(kind.name, "bold"), kind.summary, sep="  ")
        out.print(f"  {', '.join(names(kind))}")
    out.print("\nof our own stacks", style="bold")
    for option, known in registries.items():
        out.print(f"  {option}")
        for name, line in known.items():
            out.print(f"    {name:{_WIDTH}}{line}", highlight=False, markup=False)
