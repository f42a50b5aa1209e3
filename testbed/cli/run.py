"""`testbed run`: carry out experiments."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from testbed.cli import completion
from testbed.cli.ending import end_as_ctrl_c
from testbed.cli.options import Json
from testbed.cli.output import console
from testbed.errors import InputError

if TYPE_CHECKING:
    from testbed.campaign.places import Wanted
    from testbed.campaign.request import Request
    from testbed.experiment.load import Experiment


def command(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE...", help="Experiment files.")
    ] = None,
    stack: Annotated[
        list[str] | None,
        typer.Option(
            help="Run this stack only; may be given again.", autocompletion=completion.stacks
        ),
    ] = None,
    repetitions: Annotated[int | None, typer.Option(min=1, help="Runs of each cell.")] = None,
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
    results: Annotated[Path, typer.Option(help="Where result folders go.")] = Path("results"),
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
    again: Annotated[
        bool, typer.Option("--again", help="With --resume: also those that do not count.")
    ] = False,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop after the first run that does not count.")
    ] = False,
    summary: Annotated[
        bool, typer.Option(help="Sum up at the end; `testbed show` does it later.")
    ] = True,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail if an expectation is not decided.")
    ] = False,
    jobs: Annotated[
        int,
        typer.Option("--jobs", "-j", min=1, help="So many runs at a time, where time is virtual."),
    ] = 1,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the runs and how long they take at least.")
    ] = False,
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

        testbed run --until-decided --max-repetitions 40 experiments/quickstart.yaml

    adds a block of repetitions, as many as the file asks for, until each expectation is decided or
    so many are done. Looking several times does not make a wrong verdict likelier.

    With --sim the network and its clock are simulated, and the stacks are our own, userspace and
    userspace-tcp; the others of a file are left out. With --jobs several runs are carried out at
    a time, with the same results: in simulations, and in machines whose clock is virtual.

        testbed run --machine qemu:6.1 --machine qemu:6.12 experiments/quickstart.yaml

    With --machine all of it happens inside, on another kernel, with the same files; the results
    come to the same place. `testbed machine list` shows what there is. Instead of the machines of
    a file, if it lists some: `--machine host` runs it here.

    Ctrl-C stops; finished runs are kept.
    """
    from testbed.campaign.places import places
    from testbed.campaign.request import Request
    from testbed.campaign.runner import check_jobs
    from testbed.cli.campaign import run_here
    from testbed.experiment.load import load
    from testbed.experiment.overrides import Overrides
    from testbed.experiment.venue import SIMULATION
    from testbed.machine.model import HOST

    if sim and (machine or wire is not None):
        raise InputError("--sim goes with neither --machine nor --wire: it simulates all of it")
    if max_repetitions is not None and not until_decided:
        raise InputError("--max-repetitions goes with --until-decided")
    if until_decided and (sim or virtual_time):
        raise InputError("where time is virtual a run would be the same again: it decides already")
    request = Request(
        files=tuple(map(str, files or ())),
        resume=None if resume is None else str(resume),
        changes=Overrides(
            machine=SIMULATION if sim else HOST,
            virtual_time=bool(files and machine) and (virtual_time or _all_virtual(machine or ())),
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
        jobs=jobs,
    )
    _check(request)
    if dry_run and request.resume is not None:
        raise InputError("--dry-run goes with files, not with --resume")
    # All are read before one begins.
    experiments = [load(Path(file), request.changes) for file in request.files]
    end_as_ctrl_c()
    elsewhere = places(machine or (), _wanted(request, experiments), virtual_time=virtual_time)
    for name in elsewhere or ({it.machine for it in experiments} if experiments else ()):
        check_jobs(jobs, name)
    _say_what_is_left_out(experiments)
    if dry_run:
        _print_plan(experiments, elsewhere, request)
        return
    sys.exit(
        _elsewhere(elsewhere, request, experiments) if elsewhere else run_here(request, experiments)
    )


def _print_plan(
    experiments: Sequence[Experiment], machines: Mapping[str, object], request: Request
) -> None:
    """Print the runs, and how long they take.

    :param machines: where they are to happen, if not here.
    """
    from testbed.campaign import runner
    from testbed.cli.output import print_json
    from testbed.cli.progress import duration
    from testbed.experiment.asked import is_deterministic

    plans = [(it, runner.plan(it), runner.least_seconds(it, runner.plan(it))) for it in experiments]
    virtual = [is_deterministic(name) for name in machines or {it.machine for it in experiments}]
    if request.json:
        print_json(
            [
                {
                    "experiment": it.name,
                    "runs": runs,
                    "jobs": request.jobs,
                    "virtual_time": all(virtual),
                    "least_seconds": seconds,
                }
                for it, runs, seconds in plans
            ]
        )
        return
    beside = f", {request.jobs} at a time" if request.jobs > 1 else ""
    for it, runs, seconds in plans:
        for run in runs:
            values = "".join(f", {name} = {value}" for name, value in run.cell.parameters.items())
            typer.echo(f"{run.number:04d} {run.cell.stack}{values}, repetition {run.repetition}")
        lasting = f"{duration(seconds)} at least" if seconds else "as long as the transfers take"
        clock = "of virtual time" if all(virtual) else "without starting and ending"
        typer.echo(f"{it.name}: {len(runs)} runs{beside}, {lasting}, {clock}")


def _all_virtual(machines: Sequence[str]) -> bool:
    from testbed.experiment.asked import is_deterministic

    return all(map(is_deterministic, machines))


def _check(request: Request) -> None:
    from testbed.experiment.overrides import NO_OVERRIDES

    if request.resume is not None and (request.files or request.changes != NO_OVERRIDES):
        raise InputError("--resume goes on as it was begun: without files or changes")
    if request.resume is None and not request.files:
        raise InputError("there is nothing to run", hint="name an experiment file")
    if request.again and request.resume is None:
        raise InputError("--again goes with --resume")


def _wanted(request: Request, experiments: Sequence[Experiment]) -> list[Wanted]:
    """Return the files, each with the machines it wants; a simulation needs none."""
    from testbed.experiment.venue import SIMULATION

    if request.resume is not None:
        return [((), _machine_of(Path(request.resume)))]
    return [
        ((file,), () if experiment.machine == SIMULATION else experiment.spec.machines)
        for file, experiment in zip(request.files, experiments, strict=True)
    ]


def _machine_of(folder: Path) -> tuple[str, ...]:
    """Return the machine that the runs of a result folder were made in, if it can be started."""
    from testbed.experiment.venue import SIMULATION
    from testbed.machine.model import HOST
    from testbed.results.store import Store

    name = Store.open(folder).environment().machine
    return () if name in (HOST, SIMULATION) else (name,)


def _elsewhere(
    places: Mapping[str, Sequence[str]], request: Request, experiments: Sequence[Experiment]
) -> int:
    from testbed.cli import elsewhere
    from testbed.machine import machine

    read = dict(zip(request.files, experiments, strict=True))
    return elsewhere.run(
        [(machine(name), [read[file] for file in files]) for name, files in places.items()],
        request,
    )


def _say_what_is_left_out(experiments: Iterable[Experiment]) -> None:
    for experiment in experiments:
        if experiment.left_out:
            stacks = ", ".join(experiment.left_out)
            console(stderr=True).print(
                f"{experiment.name}: left out, as they cannot be simulated: {stacks}"
            )


def _assignment(text: str) -> tuple[str, str]:
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise InputError(
            f"--set {text}: is not PATH=VALUE", hint="for example links.wifi.delay=20ms"
        )
    return path, value
