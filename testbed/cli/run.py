"""`testbed run`: carry out experiments."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from testbed.cli.output import Json, console, print_json
from testbed.errors import InputError

if TYPE_CHECKING:
    from testbed.experiment.load import Experiment
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
    resume: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Do the missing runs of a result folder.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="With --resume: also those that do not count.")
    ] = False,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop after the first run that does not count.")
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

    With --sim the network and its clock are simulated, and the stacks are our own, userspace and
    userspace-tcp; the others of a file are left out.

    Ctrl-C stops; finished runs are kept.
    """
    from testbed.experiment import runner
    from testbed.experiment.load import Overrides, load
    from testbed.experiment.venue import HOST, SIMULATION
    from testbed.results.store import Store

    if sim and wire is not None:
        raise InputError("--wire has no meaning with --sim: the simulator shapes all links")
    changes = Overrides(
        machine=SIMULATION if sim else HOST,
        stacks=tuple(stack or ()),
        repetitions=repetitions,
        seed=seed,
        wire=wire,
        values=tuple(_assignment(text) for text in set_ or ()),
    )
    if resume is not None:
        if files or changes != Overrides():
            raise InputError("--resume goes on as it was begun: without files or changes")
        store = Store.open(resume)
        jobs = iter([(runner.resume(store), store)])
    elif files:
        experiments = [load(file, changes) for file in files]  # all are checked before one begins
        _say_what_is_left_out(experiments)
        jobs = ((experiment, runner.create(experiment, results)) for experiment in experiments)
    else:
        raise InputError("there is nothing to run", hint="name an experiment file")
    outcomes: dict[str, Outcome] = {}
    try:
        for experiment, store in jobs:
            with _concluded(store, outcomes, json=json):
                _carry_out(experiment, store, again=again, fail_fast=fail_fast)
            if fail_fast and outcomes[str(store.path)].problems:
                break
    finally:
        if json:
            print_json([{"folder": path, "summary": it} for path, it in outcomes.items()])
    sys.exit(_exit_code(outcomes.values()))


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
def _concluded(store: Store, outcomes: dict[str, Outcome], *, json: bool) -> Iterator[None]:
    """Print what came out and note it; of a part, too, when the experiment ends too early."""
    from testbed.cli.tables import print_outcome
    from testbed.experiment import runner

    whole = False
    try:
        yield
        whole = True
    finally:
        if not store.discard_if_empty():
            outcome = outcomes[str(store.path)] = runner.conclude(store)
            if not json:
                print_outcome(console(), outcome, store.path)
            if whole:
                store.write_summary(outcome)


def _exit_code(outcomes: Collection[Outcome]) -> int:
    """1: some runs do not count; 3: an expectation is not met."""
    if any(outcome.problems for outcome in outcomes):
        return 1
    return 3 if any(outcome.regressed for outcome in outcomes) else 0


def _assignment(text: str) -> tuple[str, str]:
    path, equals, value = text.partition("=")
    if not equals:
        raise InputError(
            f"--set {text}: is not PATH=VALUE", hint="for example links.wifi.delay=20ms"
        )
    return path, value
