"""`testbed bisect`: find the commit, or the kernel, that made an experiment worse."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from testbed.cli import completion
from testbed.cli.compare import Across, Force, Metrics, Threshold
from testbed.cli.options import Json
from testbed.errors import InputError

Arguments = Annotated[
    list[str] | None,
    typer.Argument(metavar="-- EXPERIMENT [OPTIONS]", help="Arguments of `testbed run`."),
]
Good = Annotated[str | None, typer.Option(metavar="A", help="A commit before the change.")]
Bad = Annotated[
    str | None, typer.Option(metavar="B", help="A commit with the change [default: HEAD].")
]
Tree = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="A checkout of testbed or of Linux [default: this one]."),
]
Kernels = Annotated[
    str | None,
    typer.Option(
        metavar="M,M,...",
        help="Search these machines, the good end first.",
        autocompletion=completion.lists_of_machines,
    ),
]
NewIsBetter = Annotated[bool, typer.Option("--new-is-better", help="Search for an improvement.")]
Where = Annotated[
    str | None, typer.Option(metavar="SELECTOR", help="Only these cells, e.g. stack=mptcp.")
]
MaxRepetitions = Annotated[
    int | None,
    typer.Option(min=2, help="Limit for one step [default: 4 times as many]."),
]
FirstParent = Annotated[
    bool, typer.Option("--first-parent", help="Follow the first parent of each merge.")
]
Interpreter = Annotated[
    str | None,
    typer.Option(metavar="PATH", help="The Python of the steps [default: this one]."),
]
Searches = Annotated[Path, typer.Option(help="The parent folder of searches.")]
Resume = Annotated[Path | None, typer.Option(metavar="DIR", help="Continue an interrupted search.")]


def command(
    arguments: Arguments = None,
    good: Good = None,
    bad: Bad = None,
    tree: Tree = None,
    kernels: Kernels = None,
    new_is_better: NewIsBetter = False,
    metrics: Metrics = None,
    threshold: Threshold = None,
    where: Where = None,
    across: Across = None,
    force: Force = False,
    max_repetitions: MaxRepetitions = None,
    first_parent: FirstParent = False,
    python: Interpreter = None,
    results: Searches = Path("results/bisect"),
    resume: Resume = None,
    json: Json = False,
) -> None:
    """Find the commit or the kernel that made an experiment worse.

    Both ends are measured and compared, as `testbed compare` does. Then git bisect chooses the next
    commit, which is compared with the good end. If the verdict is inconclusive, the commit is
    measured with more repetitions, and skipped if that does not help. A commit that does not build
    or run is skipped too. A commit of testbed runs its own code; a commit of Linux is built as
    user-mode Linux:

        testbed bisect --good v0.1 --bad HEAD -- experiments/quickstart.yaml --sim

        testbed bisect --tree ~/linux --good v6.18 -- experiments/quickstart.yaml --virtual-time

    The commits are checked out in a separate worktree, which is removed at the end. A list of
    machines is searched in the same way:

        testbed bisect --kernels uml:6.1,uml:6.12,uml:7.3 -- experiments/quickstart.yaml

    To continue after Ctrl-C:

        testbed bisect --resume results/bisect/20260314T150926Z

    Exit codes: 0 found; 1 only skipped candidates are left; 2 bad input, or the ends do not differ.
    """
    from testbed.campaign.bisect import asked, model
    from testbed.cli.bisecting import searched
    from testbed.cli.compare import terms_of
    from testbed.cli.ending import end_as_ctrl_c

    end_as_ctrl_c()
    if resume is not None:
        if arguments or good or bad or tree or kernels:
            raise InputError(
                "--resume continues a search without changes: it takes no experiment and no ends"
            )
        directory, state = resume, model.read(resume)
    else:
        wanted = asked.wanted(
            asked.ends(tree or Path.cwd(), kernels, good, bad),
            arguments or [],
            terms_of(metrics, threshold, across, force=force),
            python=python or sys.executable,
            where=where,
            new_is_better=new_is_better,
            max_repetitions=max_repetitions,
            first_parent=first_parent,
        )
        directory, state = model.new(results, wanted)
    sys.exit(0 if searched(directory, state, json=json).culprit else 1)
