"""`testbed stacks`: the stacks for experiments, and their options."""

from __future__ import annotations

from collections.abc import Mapping

from testbed.cli.options import Json
from testbed.cli.output import console, print_json


def command(json: Json = False) -> None:
    """List the stacks, their options and the meaning of these.

    In an experiment a stack is NAME or NAME(OPTION=VALUE, ...). If the two ends have different
    stacks, it is SOURCE/TARGET.

        testbed stacks

        testbed run --stack 'userspace(scheduler=ecf)' experiments/quickstart.yaml
    """
    from testbed.stack.mptcp.path_manager import PATH_MANAGERS
    from testbed.stack.mptcp.scheduler import SCHEDULERS
    from testbed.stack.tcp.congestion import CONTROLS
    from testbed.workload.stacks.described import meanings
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
                        "options": meanings(kind),
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
        out.print(f"  {', '.join(meanings(kind))}")
    for title, in_kernel in (("the kernel's stacks", True), ("our own stacks", False)):
        of_kind = [meanings(kind) for kind in KINDS.values() if kind.in_kernel is in_kernel]
        _print(
            f"options of {title}", {name: line for each in of_kind for name, line in each.items()}
        )
    for option, known in registries.items():
        _print(f"{option} of our own stacks", known)


def _print(title: str, lines: Mapping[str, str]) -> None:
    """Print a heading, and a line for each name."""
    out = console()
    out.print(f"\n{title}", style="bold")
    width = max(map(len, lines))
    for name, line in lines.items():
        out.print(f"  {name:{width}}  {line}", highlight=False, markup=False, soft_wrap=True)
