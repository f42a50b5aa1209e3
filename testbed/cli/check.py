"""``testbed check``: whether files are right, without running anything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from testbed.cli.options import Json
from testbed.cli.output import print_json
from testbed.text import clean

if TYPE_CHECKING:
    from testbed.errors import InputError


class Mistake(msgspec.Struct, frozen=True, omit_defaults=True):
    """One error of a file, or one doubtful value.

    :param error: the complete message in one line.
    """

    error: str
    line: int | None = None
    path: str | None = None
    hint: str | None = None


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """The findings about one file."""

    file: str
    kind: str  # topology, experiment or publication
    ok: bool
    summary: str = ""
    mistakes: tuple[Mistake, ...] = ()
    warnings: tuple[Mistake, ...] = ()


def command(
    files: Annotated[
        list[Path], typer.Argument(help="Topologies, experiments or publications, as YAML.")
    ],
    sim: Annotated[
        bool, typer.Option("--sim", help="Check experiments as `testbed run --sim` would.")
    ] = False,
    json: Json = False,
) -> None:
    """Check topologies, experiments and publications.

    Nothing is run. The keys of a file tell its kind. The command prints one line for each correct
    file, and one for each mistake; the exit code is 2 if there is a mistake. A mistake can hide
    others: correct it, and check again. A valid value that is seldom meant gives a warning.

    Examples:

        testbed check topologies/two_paths.yaml
        testbed check experiments/*.yaml --json

        testbed check --sim experiments/quickstart.yaml
    """
    reports = [_check(file, sim=sim) for file in files]
    if json:
        print_json(reports)
    else:
        for report in reports:
            for warning in report.warnings:
                typer.echo(clean(f"{warning.error}"))
            good = f"{report.file}: {report.summary}"
            lines = [good] if report.ok else [mistake.error for mistake in report.mistakes]
            typer.echo(clean("\n".join(lines)))
    if not all(report.ok for report in reports):
        raise typer.Exit(2)


def _check(file: Path, *, sim: bool) -> Report:
    from testbed import shipped
    from testbed.errors import InputError

    kind = "file"
    try:
        file = shipped.located(file, shipped.EXPERIMENTS, shipped.TOPOLOGIES)
        kind = _kind(file)
        summary, doubts = _looked_at(file, kind, sim=sim)
    except InputError as error:
        mistakes = tuple(map(_mistake, error.every))
        return Report(file=str(file), kind=kind, ok=False, mistakes=mistakes)
    return Report(
        file=str(file),
        kind=kind,
        ok=True,
        summary=summary,
        warnings=tuple(map(_mistake, doubts)),
    )


def _looked_at(file: Path, kind: str, *, sim: bool) -> tuple[str, list[InputError]]:
    if kind == "publication":
        return _publication(file), []
    return _experiment(file, sim=sim) if kind == "experiment" else _topology(file)


def _publication(file: Path) -> str:
    from testbed.papers.load import load

    paper = load(file.parent)
    return (
        f"publication, {len(paper.published.claims)} claims, {len(paper.experiments)} experiments"
    )


def _mistake(error: InputError) -> Mistake:
    return Mistake(error=str(error), line=error.line, path=error.path, hint=error.hint)


def _kind(file: Path) -> str:
    from typing import Any

    from testbed import document

    raw = document.load(file, Any).raw
    if isinstance(raw, dict) and "claims" in raw:
        return "publication"
    keys = {"topology", "stacks", "workload", "flows"}
    is_experiment = isinstance(raw, dict) and not keys.isdisjoint(raw)
    return "experiment" if is_experiment else "topology"


def _topology(file: Path) -> tuple[str, list[InputError]]:
    from testbed.topology.doubts import doubts
    from testbed.topology.load import load_topology
    from testbed.topology.plan import plan
    from testbed.topology.resolve import resolve

    written = load_topology(file)
    topology = resolve(written)
    boxes = sum(len(link.middlebox) for link in topology.links)
    counts = (
        (len(topology.nodes), "node"),
        (len(topology.links), "link"),
        (sum(link.wire for link in topology.links), "wire"),
        *([(boxes, "middlebox")] if boxes else []),
        (len(plan(topology).operations), "operation"),
    )
    return f"topology, {_counted(*counts)}", list(doubts(written))


def _counted(*counts: tuple[int, str]) -> str:
    return ", ".join(f"{count} {word if count == 1 else _several(word)}" for count, word in counts)


def _several(word: str) -> str:
    return f"{word}{'es' if word.endswith('x') else 's'}"


def _experiment(file: Path, *, sim: bool) -> tuple[str, list[InputError]]:
    from testbed.experiment.load import load
    from testbed.experiment.overrides import Overrides
    from testbed.experiment.venue import SIMULATION
    from testbed.machine.model import HOST
    from testbed.topology.doubts import doubts

    experiment = load(file, Overrides(machine=SIMULATION if sim else HOST))
    cells, repetitions = len(experiment.cells), experiment.spec.repetitions
    text = f"experiment, {_counted((cells, 'cell'), (cells * repetitions, 'run'))}"
    where = ", ".join(experiment.spec.machines)
    found = list(doubts(experiment.network))
    return (f"{text}, each on {where}" if where else text), found
