"""`testbed run`: carry out experiments."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from testbed.cli.conclusion import exit_code
from testbed.cli.output import Json, console, print_json
from testbed.errors import InputError

if TYPE_CHECKING:
    from testbed.cli.places import Errand
    from testbed.experiment.load import Experiment, Overrides
    from testbed.experiment.outcome import Outcome
    from testbed.results.store import Store


def command(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE...", help="Experiment files.")
    ] = None,
    stack: Annotated[
        list[str] | None, typer.Option(help="Run this stack only; may be given again.")
    ] = None,
    repetitions: Annotated[int | None, typer.Option(min=1, help="Runs of each cell.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of order, wires and payloads.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Change a value; may be given again."),
    ] = None,
    results: Annotated[Path, typer.Option(help="Where result folders go.")] = Path("results"),
    wire: Annotated[
        str | None, typer.Option(help="What shapes links: auto, netem or emulator.")
    ] = None,
    sim: Annotated[
        bool, typer.Option("--sim", help="Simulate the network: no root, no waiting.")
    ] = False,
    machine: Annotated[
        list[str] | None,
        typer.Option(metavar="M", help="Run in this machine, e.g. qemu:6.1; may be given again."),
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

    With --sim the network and its clock are simulated, and the stacks are our own, userspace and
    userspace-tcp; the others of a file are left out.

        testbed run --machine qemu:6.1 --machine qemu:6.12 experiments/quickstart.yaml

    With --machine all of it happens inside, on another kernel, with the same files; the results
    come to the same place. `testbed machine list` shows what there is. Instead of the machines of
    a file, if it lists some: `--machine host` runs it here.

    Ctrl-C stops; finished runs are kept.
    """
    from testbed.cli.places import places
    from testbed.experiment import runner
    from testbed.experiment.load import Overrides, load
    from testbed.experiment.venue import HOST, SIMULATION
    from testbed.results.model import Status
    from testbed.results.store import Store

    if sim and (machine or wire is not None):
        raise InputError("--sim goes with neither --machine nor --wire: it simulates all of it")
    changes = Overrides(
        machine=SIMULATION if sim else HOST,
        stacks=tuple(stack or ()),
        repetitions=repetitions,
        seed=seed,
        wire=wire,
        values=tuple(_assignment(text) for text in set_ or ()),
    )
    _check_request(files, resume, changes)
    experiments = [load(file, changes) for file in files or ()]  # all, before one begins
    _say_what_is_left_out(experiments)
    errands = _errands(files or (), experiments, resume)
    elsewhere = places(machine or (), errands, virtual_time=virtual_time)
    if elsewhere:
        flags = {"--again": again, "--fail-fast": fail_fast}
        words = [flag for flag, given in flags.items() if given] + _options(changes)
        words += [] if resume else ["--results", str(results)]
        sys.exit(_elsewhere(elsewhere, words, resume or results, json))
    jobs: Iterable[tuple[Experiment, Store]]
    if resume is not None:
        store = Store.open(resume)
        jobs = iter([(runner.resume(store), store)])
    else:
        jobs = ((experiment, runner.create(experiment, results)) for experiment in experiments)
    outcomes: dict[str, Outcome] = {}
    try:
        for experiment, store in jobs:
            with _concluded(store, outcomes, summary=summary, json=json):
                _carry_out(experiment, store, again=again, fail_fast=fail_fast)
            if fail_fast and any(run.status is not Status.OK for run in store.runs()):
                break
    finally:
        if json:
            print_json([{"folder": path, "summary": it} for path, it in outcomes.items()])
    sys.exit(exit_code(outcomes.values()))


def _check_request(files: list[Path] | None, resume: Path | None, changes: Overrides) -> None:
    from testbed.experiment.load import Overrides

    if resume is not None and (files or changes != Overrides()):
        raise InputError("--resume goes on as it was begun: without files or changes")
    if resume is None and not files:
        raise InputError("there is nothing to run", hint="name an experiment file")


def _errands(
    files: Sequence[Path], experiments: Sequence[Experiment], resume: Path | None
) -> list[Errand]:
    """Return what is to be done, and the machines each wants; a simulation needs none."""
    from testbed.experiment.venue import SIMULATION

    if resume is not None:
        return [(["--resume", str(resume)], _machine_of(resume))]
    return [
        ([str(file)], () if experiment.machine == SIMULATION else experiment.spec.machines)
        for file, experiment in zip(files, experiments, strict=True)
    ]


def _machine_of(folder: Path) -> tuple[str, ...]:
    """Return the machine that the runs of a result folder were made in, if it can be started."""
    from testbed.experiment.venue import HOST, SIMULATION
    from testbed.results.store import Store

    name = Store.open(folder).environment().machine
    return () if name in (HOST, SIMULATION) else (name,)


def _elsewhere(
    places: Mapping[str, Sequence[str]], words: Sequence[str], results: Path, json: bool
) -> int:
    from testbed.cli import elsewhere
    from testbed.machine import machine

    errands = [(machine(name), [*own, *words]) for name, own in places.items()]
    return elsewhere.run(errands, results, json=json)


def _options(changes: Overrides) -> list[str]:
    """Return the options that make these changes."""
    given: list[tuple[str, object]] = [("--stack", stack) for stack in changes.stacks]
    given += [
        ("--repetitions", changes.repetitions),
        ("--seed", changes.seed),
        ("--wire", changes.wire),
        *(("--set", f"{path}={value}") for path, value in changes.values),
    ]
    return [word for option, value in given if value is not None for word in (option, str(value))]


def _say_what_is_left_out(experiments: Iterable[Experiment]) -> None:
    for experiment in experiments:
        if experiment.left_out:
            stacks = ", ".join(experiment.left_out)
            console(stderr=True).print(
                f"{experiment.name}: left out, as they cannot be simulated: {stacks}",
                markup=False,
            )


def _carry_out(experiment: Experiment, store: Store, *, again: bool, fail_fast: bool) -> None:
    from testbed.cli.progress import watcher
    from testbed.experiment import runner

    runs = runner.missing(experiment, store, again=again)
    with watcher(experiment.name, len(runs)) as watching:
        runner.carry_out(experiment, store, runs, watching, fail_fast=fail_fast)


@contextlib.contextmanager
def _concluded(
    store: Store, outcomes: dict[str, Outcome], *, summary: bool, json: bool
) -> Iterator[None]:
    """Print what came out and note it; of a part, too, when the experiment ends too early."""
    from testbed.cli.conclusion import conclude

    try:
        yield
    finally:
        if not store.discard_if_empty() and summary:
            outcomes[str(store.path)] = conclude(store, json=json)


def _assignment(text: str) -> tuple[str, str]:
    path, equals, value = text.partition("=")
    if not equals:
        raise InputError(
            f"--set {text}: is not PATH=VALUE", hint="for example links.wifi.delay=20ms"
        )
    return path, value
