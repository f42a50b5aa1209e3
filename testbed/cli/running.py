"""The start of `testbed run`: read all files, find the machines, then print or do the runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from testbed.cli.ending import end_as_ctrl_c
from testbed.cli.output import check_documents, console
from testbed.errors import InputError
from testbed.text import clean

if TYPE_CHECKING:
    from testbed.campaign.places import Wanted
    from testbed.campaign.request import Request
    from testbed.campaign.where import Where
    from testbed.experiment.load import Experiment


def start(request: Request, where: Where, *, dry_run: bool) -> int:
    """Carry out a request, and return the exit code.

    :param where: the place that the command line names.
    :param dry_run: whether to print the runs instead.
    :raises TestbedError: nothing was run, or the runs could not continue.
    """
    from testbed.campaign.places import places
    from testbed.campaign.runner import check_jobs
    from testbed.cli.campaign import run_here
    from testbed.experiment.load import load
    from testbed.shipped import EXPERIMENTS, located

    check_documents(json=request.json, format=request.format)
    _check(request)
    if dry_run and request.resume is not None:
        raise InputError("--dry-run cannot be used with --resume")
    # Read all files before the first run.
    experiments = [
        load(located(Path(file), EXPERIMENTS), request.changes) for file in request.files
    ]
    end_as_ctrl_c()
    wanted = _wanted(request, experiments)
    elsewhere = places(where.machines, wanted, virtual_time=where.virtual_time)
    for name in elsewhere or ({it.machine for it in experiments} if experiments else ()):
        check_jobs(request.jobs, name)
    if request.on is not None:
        _check_cluster(request.on, elsewhere, _places_of(request, experiments))
    _say_what_is_left_out(experiments)
    if dry_run:
        _print_plan(experiments, elsewhere, request)
        return 0
    return (
        _elsewhere(elsewhere, request, experiments) if elsewhere else run_here(request, experiments)
    )


def _places_of(request: Request, experiments: Sequence[Experiment]) -> set[str]:
    """Return the places of the runs, by their names in environments."""
    from testbed.results.store import Store

    if request.resume is not None:
        return {Store.open(Path(request.resume)).environment().machine}
    return {it.machine for it in experiments}


def _check_cluster(on: str, machines: Iterable[str], places: Iterable[str]) -> None:
    """Refuse a cluster for runs that it cannot do.

    :param machines: the machines that would be started for them.
    :param places: the places where they happen otherwise.
    """
    from testbed.campaign.cluster import site
    from testbed.experiment.asked import is_deterministic

    where = site(on)
    started = [*machines]
    if started:
        raise InputError(
            f"--on {on}: workers cannot start the machine {started[0]}",
            hint="add --sim, or --machine host instead of other machines",
        )
    real = [name for name in places if not is_deterministic(name)]
    if where.workers > 1 and real:
        raise InputError(
            f"--on {on}: {where.workers} runs at a time would disturb one another on {real[0]}",
            hint="add --sim, or use workers on other computers",
        )


def _print_plan(
    experiments: Sequence[Experiment], machines: Mapping[str, object], request: Request
) -> None:
    """Print the runs and their duration.

    :param machines: the machines for the runs, if not this host.
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
            text = f"{run.number:04d} {run.cell.stack}{values}, repetition {run.repetition}"
            typer.echo(clean(text))
        lasting = f"{duration(seconds)} at least" if seconds else "as long as the transfers take"
        clock = "of virtual time" if all(virtual) else "without starting and ending"
        typer.echo(clean(f"{it.name}: {len(runs)} runs{beside}, {lasting}, {clock}"))


def _check(request: Request) -> None:
    from testbed.experiment.overrides import NO_OVERRIDES

    if request.resume is not None and (request.files or request.changes != NO_OVERRIDES):
        raise InputError(
            "--resume continues an experiment without changes: it takes no files and no values"
        )
    if request.resume is None and not request.files:
        raise InputError("there is nothing to run", hint="name an experiment file")
    if request.again and request.resume is None:
        raise InputError("--again needs --resume")
    if request.on is not None and request.jobs > 1:
        raise InputError("--jobs cannot be used with --on: each worker of the cluster does one run")
    if request.changes.max_repetitions is not None and not request.changes.until_decided:
        raise InputError("--max-repetitions needs --until-decided")


def _wanted(request: Request, experiments: Sequence[Experiment]) -> list[Wanted]:
    """Return the files, each with the machines that it lists. A simulation needs none."""
    from testbed.experiment.venue import SIMULATION

    if request.resume is not None:
        return [((), _machine_of(Path(request.resume)))]
    return [
        ((file,), () if experiment.machine == SIMULATION else experiment.spec.machines)
        for file, experiment in zip(request.files, experiments, strict=True)
    ]


def _machine_of(folder: Path) -> tuple[str, ...]:
    """Return the machine of a result folder's runs, unless it is the host or a simulation."""
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
                f"{experiment.name}: left out, because they cannot be simulated: {stacks}"
            )
