"""Carrying out experiments on this kernel; ``python -m testbed.cli.here REQUEST``, too.

That is what `testbed run --machine` starts in a machine: it reads no command line and prints no
tables, whose libraries take seconds to load where the processor is emulated.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.cli.ending import end_as_ctrl_c, told

if TYPE_CHECKING:
    from testbed.analysis.outcome import Outcome
    from testbed.campaign.request import Request
    from testbed.experiment.load import Experiment
    from testbed.results.store import Store

# Result folders, each with its outcome if a summary was asked for.
Done = list[tuple["Store", "Outcome | None"]]


def main() -> None:
    """Do what the first argument says, a :class:`Request` as JSON."""
    from testbed.sandbox import ahead

    end_as_ctrl_c()
    with told(), ahead():  # a sandbox's holder starts while the rest is imported and read
        import msgspec

        from testbed.campaign.request import Request
        from testbed.experiment.load import load

        request = msgspec.json.decode(sys.argv[1], type=Request)
        experiments = [load(Path(file), request.changes) for file in request.files]
        sys.exit(carry_out(request, experiments))


def carry_out(request: Request, experiments: Iterable[Experiment]) -> int:
    """Run experiments, or resume one, and return the exit code."""
    from testbed.analysis.registry import broken
    from testbed.campaign import runner
    from testbed.cli.conclusion import exit_code
    from testbed.cli.output import print_json, tell_left_out
    from testbed.results.store import Store

    tell_left_out(broken())
    jobs: Iterable[tuple[Experiment, Store]]
    if request.resume is not None:
        store = Store.open(Path(request.resume))
        jobs = iter([(runner.resume(store, request.software), store)])
    else:
        results = Path(request.results)
        jobs = ((it, _created(it, results, request)) for it in experiments)
    done: Done = []
    try:
        for experiment, store in jobs:
            # _concluded() may remove the folder, so it ends while the folder is still locked.
            with store.writing(), _concluded(store, done, request):
                _runs(experiment, store, request)
            if request.fail_fast and _failed(store):
                break
    finally:
        if request.json:
            print_json([{"folder": str(store.path), "summary": it} for store, it in done])
    if not request.summary:
        return int(any(_failed(store) for store, _ in done))
    return exit_code((outcome for _, outcome in done if outcome), strict=request.strict)


def _created(experiment: Experiment, results: Path, request: Request) -> Store:
    """Make a result folder; append its path to the ledger of the request, if it has one."""
    from testbed.campaign import runner

    store = runner.create(experiment, results, request.software, request.created_at)
    if request.ledger is not None:
        with Path(request.ledger).open("a") as ledger:
            ledger.write(f"{store.path}\n")
    return store


def _failed(store: Store) -> bool:
    from testbed.results.model import Status

    return any(entry.status is not Status.OK for entry in store.over().values())


def _runs(experiment: Experiment, store: Store, request: Request) -> None:
    from testbed.campaign import runner
    from testbed.cli.progress import watcher

    for runs in runner.due(experiment, store, again=request.again):
        with watcher(experiment.name, len(runs)) as watching:
            runner.carry_out(
                experiment,
                store,
                runs,
                watching,
                fail_fast=request.fail_fast,
                jobs=request.jobs,
            )


@contextlib.contextmanager
def _concluded(store: Store, done: Done, request: Request) -> Iterator[None]:
    """Print the outcome and add it to ``done``, also when the experiment ends too early."""
    from testbed.cli.conclusion import conclude

    try:
        yield
    finally:
        if not store.discard_if_empty():
            outcome = conclude(store, json=request.json) if request.summary else None
            done.append((store, outcome))


if __name__ == "__main__":
    main()
