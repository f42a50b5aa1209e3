"""`testbed run`: carry out experiments."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from testbed.cli import completion
from testbed.cli.options import Again, Jobs, Json, Repetitions, Results, TestFormat
from testbed.errors import InputError

if TYPE_CHECKING:
    from testbed.campaign.where import Where
    from testbed.papers.load import Paper

Files = Annotated[
    list[Path] | None,
    typer.Argument(metavar="FILE...", help="Experiments: files, names, folders of publications."),
]
Stacks = Annotated[
    list[str] | None,
    typer.Option(help="Run this stack only; may be given again.", autocompletion=completion.stacks),
]
UntilDecided = Annotated[
    bool,
    typer.Option("--until-decided", help="Add repetitions until expectations are decided."),
]
MaxRepetitions = Annotated[
    int | None,
    typer.Option(min=2, help="Limit for --until-decided [default: 10 times as many]."),
]
Seed = Annotated[int | None, typer.Option(min=0, help="Seed of order, wires and payloads.")]
Values = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Set a value; may be given again."),
]
Wire = Annotated[
    str | None, typer.Option(metavar="[auto|netem|emulator]", help="The engine of the wires.")
]
Sim = Annotated[bool, typer.Option("--sim", help="Simulate the network: no root, no waiting.")]
Machines = Annotated[
    list[str] | None,
    typer.Option(
        metavar="M",
        help="Run in this machine, e.g. qemu:6.1; may be given again.",
        autocompletion=completion.machines,
    ),
]
VirtualTime = Annotated[
    bool, typer.Option("--virtual-time", help="Give machines uml:... a virtual clock.")
]
Resume = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Do the missing runs of a result folder.")
]
FailFast = Annotated[
    bool, typer.Option("--fail-fast", help="Stop after the first run that does not count.")
]
Summary = Annotated[bool, typer.Option(help="Print a summary at the end, as `testbed show` does.")]
Strict = Annotated[bool, typer.Option("--strict", help="Fail if an expectation is inconclusive.")]
On = Annotated[
    str | None,
    typer.Option(
        metavar="[local:N|tcp://HOST:PORT]", help="Let workers of a Dask cluster do the runs."
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only print the runs and their minimum duration.")
]


def command(
    files: Files = None,
    stack: Stacks = None,
    repetitions: Repetitions = None,
    until_decided: UntilDecided = False,
    max_repetitions: MaxRepetitions = None,
    seed: Seed = None,
    set_: Values = None,
    results: Results = Path("results"),
    wire: Wire = None,
    sim: Sim = False,
    machine: Machines = None,
    virtual_time: VirtualTime = False,
    resume: Resume = None,
    again: Again = False,
    fail_fast: FailFast = False,
    summary: Summary = True,
    strict: Strict = False,
    jobs: Jobs = 1,
    on: On = None,
    dry_run: DryRun = False,
    wanted: TestFormat = None,
    json: Json = False,
) -> None:
    """Run experiments and print their results.

    Each cell of the matrix runs several times; the repetitions of all cells are interleaved. Each
    run has a network of its own, which is verified before the run and removed after it. A run
    without a proof of its protocol is invalid, and no mean includes it.

        testbed run experiments/quickstart.yaml

        testbed run experiments/quickstart.yaml --repetitions 2 --set links.wifi.delay=50ms

        testbed run --resume results/quickstart/20260314T150926Z-1a2b3c4d

        testbed run --sim experiments/quickstart.yaml

        testbed run experiments/papers/rfc6356

    runs a publication, as `testbed papers run` does.

        testbed run --until-decided --max-repetitions 40 experiments/quickstart.yaml

    adds blocks of repetitions, each as large as the number in the file, until each expectation is
    decided or the limit is reached. The test after each block does not make a wrong verdict more
    likely.

    --sim simulates the network and its clock. Only our own stacks run, userspace and userspace-tcp;
    other stacks of a file are left out. --jobs does several runs at a time, with the same results,
    in simulations and in machines with a virtual clock.

        testbed run --machine qemu:6.1 --machine qemu:6.12 experiments/quickstart.yaml

    --machine does the runs in a machine, on another kernel, with the same files. The results go to
    the same folder. `testbed machine list` lists the machines. The option replaces the machines
    that a file names: `--machine host` runs the file here.

        testbed run --sim --on local:8 experiments/quickstart.yaml

        testbed run --on tcp://scheduler:8786 experiments/quickstart.yaml

    --on lets the workers of a Dask cluster do the runs: N processes on this host, or the workers of
    a running scheduler. The results go to the same folder. In real time each worker does one run at
    a time, and all workers must be the same. It needs `pip install 'testbed[distributed]'`.

        testbed run --format ktap experiments/link_failure.yaml

    prints the result at the end as a test in the kernel's format, with runs and expectations as
    subtests.

    Ctrl-C stops; finished runs are kept.
    """
    from testbed.campaign.request import Request
    from testbed.campaign.where import Where
    from testbed.cli import running
    from testbed.experiment.overrides import Overrides, assignment
    from testbed.shipped import EXPERIMENTS, located

    where = Where(sim=sim, machines=tuple(machine or ()), virtual_time=virtual_time, on=on)
    if folders := [file for file in files or () if located(file, EXPERIMENTS).is_dir()]:
        found = _publications(folders, files or [])
        _refuse_for_publications(folders[0], where, stack, set_)
        sys.exit(_carry_out(found, jobs, results, json=json))
    where.check(wire=wire, until_decided=until_decided)
    changes = Overrides(
        stacks=tuple(stack or ()),
        repetitions=repetitions,
        until_decided=until_decided,
        max_repetitions=max_repetitions,
        seed=seed,
        wire=wire,
        values=tuple(map(assignment, set_ or ())),
    )
    request = Request(
        files=tuple(map(str, files or ())),
        resume=None if resume is None else str(resume),
        changes=where.applied(changes, resumed=not files),
        results=str(results),
        again=again,
        fail_fast=fail_fast,
        summary=summary,
        strict=strict,
        json=json,
        format=wanted,
        jobs=jobs,
        on=on,
    )
    sys.exit(running.start(request, where, dry_run=dry_run))


def _refuse_for_publications(
    folder: Path, where: Where, stack: list[str] | None, set_: list[str] | None
) -> None:
    """Refuse options that would change the experiments of a publication."""
    if stack or set_ or where.machines or where.sim or where.on:
        raise InputError(
            f"{folder}: --stack, --set, --machine, --sim and --on do not apply to publications",
            hint="name one of its experiment files instead of the folder",
        )


def _publications(folders: list[Path], files: list[Path]) -> list[Paper]:
    """Return the publications of folders, which are all files that a command names."""
    from testbed.papers.load import find

    if len(folders) < len(files):
        raise InputError(
            "experiment files and folders of publications cannot be mixed: use two commands"
        )
    return [find(str(folder)) for folder in folders]


def _carry_out(found: list[Paper], jobs: int, results: Path, *, json: bool) -> int:
    from testbed.cli import papers
    from testbed.cli.publications import Options

    return papers.carry_out(found, Options(results=results / "papers", jobs=jobs, json=json))
