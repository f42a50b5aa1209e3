"""`testbed run`: carry out experiments."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from testbed.cli import completion
from testbed.cli.options import Again, Jobs, Json, Repetitions, Results, TestFormat
from testbed.errors import InputError


def command(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE...", help="Experiments: files, names, folders of publications."
        ),
    ] = None,
    stack: Annotated[
        list[str] | None,
        typer.Option(
            help="Run this stack only; may be given again.", autocompletion=completion.stacks
        ),
    ] = None,
    repetitions: Repetitions = None,
    until_decided: Annotated[
        bool,
        typer.Option("--until-decided", help="Add repetitions until expectations are decided."),
    ] = False,
    max_repetitions: Annotated[
        int | None,
        typer.Option(min=2, help="With --until-decided: at most [default: 10 times as many]."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of order, wires and payloads.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Change a value; may be given again."),
    ] = None,
    results: Results = Path("results"),
    wire: Annotated[
        str | None, typer.Option(metavar="[auto|netem|emulator]", help="What shapes the wires.")
    ] = None,
    sim: Annotated[
        bool, typer.Option("--sim", help="Simulate the network: no root, no waiting.")
    ] = False,
    machine: Annotated[
        list[str] | None,
        typer.Option(
            metavar="M",
            help="Run in this machine, e.g. qemu:6.1; may be given again.",
            autocompletion=completion.machines,
        ),
    ] = None,
    virtual_time: Annotated[
        bool, typer.Option("--virtual-time", help="With uml:...: on a virtual clock.")
    ] = False,
    resume: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Do the missing runs of a result folder.")
    ] = None,
    again: Again = False,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop after the first run that does not count.")
    ] = False,
    summary: Annotated[
        bool, typer.Option(help="Sum up at the end; `testbed show` does it later.")
    ] = True,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail if an expectation is not decided.")
    ] = False,
    jobs: Jobs = 1,
    on: Annotated[
        str | None,
        typer.Option(
            metavar="[local:N|tcp://HOST:PORT]", help="Let workers of a Dask cluster do the runs."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the runs and how long they take at least.")
    ] = False,
    wanted: TestFormat = None,
    json: Json = False,
) -> None:
    """Run experiments and print what came out.

    Every stack runs in every cell of the matrix, several times, interleaved. Each run has a
    network of its own, which is verified before and gone after. A run that cannot prove which
    protocol it ran is invalid and enters no mean.

        testbed run experiments/quickstart.yaml

        testbed run experiments/quickstart.yaml --repetitions 2 --set links.wifi.delay=50ms

        testbed run --resume results/quickstart/20260314T150926Z-1a2b3c4d

        testbed run --sim experiments/quickstart.yaml

        testbed run experiments/papers/rfc6356

    runs a publication, as `testbed papers run` does.

        testbed run --until-decided --max-repetitions 40 experiments/quickstart.yaml

    adds a block of repetitions, as many as the file asks for, until each expectation is decided or
    the number is reached. Looking several times does not make a wrong verdict likelier.

    With --sim the network and its clock are simulated, and the stacks are our own, userspace and
    userspace-tcp; the others of a file are left out. With --jobs several runs are carried out at
    a time, with the same results: in simulations, and in machines whose clock is virtual.

        testbed run --machine qemu:6.1 --machine qemu:6.12 experiments/quickstart.yaml

    With --machine all of it happens inside, on another kernel, with the same files; the results
    come to the same place. `testbed machine list` shows what there is. Instead of the machines of
    a file, if it lists some: `--machine host` runs it here.

        testbed run --sim --on local:8 experiments/quickstart.yaml

        testbed run --on tcp://scheduler:8786 experiments/quickstart.yaml

    With --on the workers of a Dask cluster do the runs: N processes of this host, or those that
    know the scheduler. The results come to the same place. Where time is real, each worker does
    one run at a time, and all must be the same. It needs `pip install 'testbed[distributed]'`.

        testbed run --format ktap experiments/link_failure.yaml

    prints a test for the kernel's tools at the end, with runs and expectations as its subtests.

    Ctrl-C stops; finished runs are kept.
    """
    from testbed.campaign.request import Request
    from testbed.cli import running
    from testbed.experiment.overrides import Overrides
    from testbed.experiment.venue import SIMULATION
    from testbed.machine.model import HOST

    folders = [file for file in files or () if file.is_dir()]
    if folders:
        _refuse_for_publications(folders, files or [], stack, set_, machine, sim=sim, on=on)
        sys.exit(_publications(folders, jobs, results, json=json))
    _check_places(sim, machine, wire, virtual_time, until_decided)
    if on is not None and jobs > 1:
        raise InputError("--jobs goes without --on: each worker of the cluster does one run")
    if max_repetitions is not None and not until_decided:
        raise InputError("--max-repetitions goes with --until-decided")
    request = Request(
        files=tuple(map(str, files or ())),
        resume=None if resume is None else str(resume),
        changes=Overrides(
            machine=SIMULATION if sim else HOST,
            elsewhere=bool(files) and _is_elsewhere(machine, None if sim else on),
            virtual_time=bool(files) and running.is_virtual(machine or (), virtual_time),
            stacks=tuple(stack or ()),
            repetitions=repetitions,
            until_decided=until_decided,
            max_repetitions=max_repetitions,
            seed=seed,
            wire=wire,
            values=tuple(_assignment(text) for text in set_ or ()),
        ),
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
    sys.exit(running.start(request, machine or (), virtual_time=virtual_time, dry_run=dry_run))


def _is_elsewhere(machine: list[str] | None, on: str | None) -> bool:
    """Return whether the runs use other kernels, so that checks of this kernel do not apply."""
    from testbed.campaign.cluster import site
    from testbed.machine.model import HOST

    away = on is not None and site(on).address is not None
    return away or any(name != HOST for name in machine or ())


def _refuse_for_publications(
    folders: list[Path],
    files: list[Path],
    stack: list[str] | None,
    set_: list[str] | None,
    machine: list[str] | None,
    *,
    sim: bool,
    on: str | None,
) -> None:
    """Refuse options that would change the experiments of a publication."""
    if len(folders) < len(files):
        raise InputError("experiment files and folders of publications: run one after the other")
    if stack or set_ or machine or sim or on:
        raise InputError(
            f"{folders[0]} decides itself which runs there are, and where",
            hint="name one of its experiment files to change that",
        )


def _publications(folders: list[Path], jobs: int, results: Path, *, json: bool) -> int:
    from testbed.cli import papers
    from testbed.cli.publications import Options
    from testbed.papers.load import find

    found = [find(str(folder)) for folder in folders]
    return papers.carry_out(found, Options(results=results / "papers", jobs=jobs, json=json))


def _check_places(
    sim: bool,
    machine: list[str] | None,
    wire: str | None,
    virtual_time: bool,
    until_decided: bool,
) -> None:
    """Refuse options that contradict one another about where the runs happen."""
    if sim and (machine or wire is not None):
        raise InputError("--sim goes with neither --machine nor --wire: it simulates all of it")
    if until_decided and (sim or virtual_time):
        raise InputError("in virtual time one run decides: a repetition gives the same numbers")


def _assignment(text: str) -> tuple[str, str]:
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise InputError(
            f"--set {text}: is not PATH=VALUE", hint="for example links.wifi.delay=20ms"
        )
    return path, value
