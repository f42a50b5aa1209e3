"""The loader of publication folders."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from testbed import document, shipped
from testbed.analysis.claims import ExpectSpec, bound
from testbed.analysis.instance import parse
from testbed.analysis.registry import metrics, unknown
from testbed.analysis.verdicts import subjects
from testbed.document import Document, join_path
from testbed.errors import InputError, all_of
from testbed.experiment import table
from testbed.experiment.asked import own_metrics
from testbed.experiment.load import glance
from testbed.experiment.matrix import expand
from testbed.experiment.spec import ExperimentSpec
from testbed.hints import nearest
from testbed.machine.model import VIRTUAL_TIME
from testbed.papers.spec import PublishedSpec, Side, ValueSpec
from testbed.results.model import Cell, Scalar
from testbed.workload.stacks.choice import StackChoice

ROOT: Final = Path("experiments/papers")
PUBLISHED: Final = "published.yaml"
SOURCE: Final = "source.md"
# The required sections of source.md, which readers need to trust the numbers.
SECTIONS: Final = ("As published", "What we changed")
_SAID: Final = "description"
KERNEL_MACHINE: Final = f"uml:7.3{VIRTUAL_TIME}"


class PaperExperiment(msgspec.Struct, frozen=True, kw_only=True):
    """One experiment file of a publication.

    :param sides: the side of each stack under test, by its label; ``None`` if its two ends are of
        different sides.
    :param digest: a digest of the file and its topology, without the expectations.
    :param cells: all cells of the experiment.
    """

    name: str
    path: Path
    spec: ExperimentSpec
    sides: dict[str, Side | None]
    digest: str
    cells: tuple[Cell, ...]

    def stacks(self, side: Side) -> tuple[str, ...]:
        """Return the labels of the stacks of one side."""
        return tuple(label for label, of in self.sides.items() if of is side)

    def expects(self, claim: str, side: Side) -> tuple[ExpectSpec, ...]:
        """Return the expectations of a claim on one side."""
        return tuple(
            each
            for each in self.spec.expect
            if each.claim == claim and self.sides[each.stack] is side
        )

    def machine(self, side: Side) -> str:
        """Return the machine for the stacks of one side: a simulation for our stack."""
        if side is Side.OURS:
            return "sim"
        return (*self.spec.machines, KERNEL_MACHINE)[0]


class Paper(msgspec.Struct, frozen=True, kw_only=True):
    """A checked publication.

    :param name: the name of its folder.
    :param source: the text of ``source.md``.
    """

    name: str
    folder: Path
    published: PublishedSpec
    source: str
    experiments: dict[str, PaperExperiment]

    def expects(self, claim: str, side: Side) -> Iterator[tuple[PaperExperiment, ExpectSpec]]:
        """Yield the expectations of a claim on one side, each with its experiment."""
        for experiment in self.experiments.values():
            for expect in experiment.expects(claim, side):
                yield experiment, expect


def _located(root: Path) -> Path:
    """Return a folder of publications; outside of a checkout the shipped one."""
    if root != ROOT or root.is_dir():
        return root
    return shipped.folder(shipped.EXPERIMENTS) / ROOT.name


def papers(root: Path = ROOT) -> list[Paper]:
    """Return all publications below a folder, by name.

    :raises InputError: there is no publication, or some are invalid; the error contains all
        failures.
    """
    root = _located(root)
    folders = sorted(path.parent for path in root.glob(f"*/{PUBLISHED}"))
    if not folders:
        raise InputError(
            f"there is no publication in {root}", hint="name another folder with --folder"
        )
    return all_of(*(functools.partial(load, folder) for folder in folders))


def find(name: str, root: Path = ROOT) -> Paper:
    """Return a publication by the name of its folder, or by its path.

    :raises InputError: the publication does not exist, or is invalid; the error contains all
        failures.
    """
    root = _located(root)
    for folder in (root / name, Path(name)):
        if (folder / PUBLISHED).is_file():
            return load(folder)
    known = [path.parent.name for path in sorted(root.glob(f"*/{PUBLISHED}"))]
    raise InputError(f"there is no publication {name!r}", hint=nearest(name, known))


def load(folder: Path) -> Paper:
    """Read the folder of a publication.

    :raises InputError: the folder is invalid; the error contains all failures with file and line.
    """
    written = document.load(folder / PUBLISHED, PublishedSpec)
    experiments = {each.name: each for each in _experiments(written, folder)}
    paper = Paper(
        name=folder.resolve().name,
        folder=folder,
        published=written.value,
        source=_source(folder / SOURCE),
        experiments=experiments,
    )
    all_of(*(functools.partial(_check_expects, paper, each) for each in experiments.values()))
    every = (
        (_check_claim, written.value.claims),
        (_check_value, range(len(written.value.values))),
        (_check_figure, range(len(written.value.figures))),
    )
    all_of(
        *(
            functools.partial(check, written, paper, each)
            for check, of in every
            for each in cast("Iterable[Any]", of)
        )
    )
    return paper


def _experiments(written: Document[PublishedSpec], folder: Path) -> list[PaperExperiment]:
    own = [path for path in sorted(folder.glob("*.yaml")) if path.name != PUBLISHED]
    own = [path for path in own if _is_experiment(path)]
    others = [folder / name for name in written.value.experiments]
    names = {path.stem for path in own}
    for index, path in enumerate(others):
        place = join_path("experiments", index)
        if not path.is_file():
            raise written.error(f"there is no file {path}", place)
        if path.stem in names:
            raise written.error(f"there is an experiment {path.stem!r} already", place)
        names.add(path.stem)
    if not own and not others:
        raise InputError(
            "has no experiment", file=folder, hint="add one, or list it in 'experiments'"
        )
    return all_of(*(functools.partial(_experiment, path) for path in (*own, *others)))


def _is_experiment(path: Path) -> bool:
    raw = document.load(path, Any).raw
    return isinstance(raw, Mapping) and not {"workload", "flows"}.isdisjoint(raw)


def _experiment(path: Path) -> PaperExperiment:
    spec = glance(path)
    choices = spec.choices
    return PaperExperiment(
        name=path.stem,
        path=path,
        spec=spec,
        sides={choice.label: _side(choice) for choice in choices},
        digest=_digest(path),
        cells=expand(spec.parameters, choices),
    )


def _digest(path: Path) -> str:
    """Return a digest of an experiment and its topology, without expectations."""
    raw = cast("dict[str, Any]", table.filled(document.load(path, Any), path.parent).raw)
    network = raw.get("topology")
    if isinstance(network, str):
        network = cast("dict[str, Any]", document.load(path.parent / network, Any).raw)
    raw = dict(raw)
    raw["topology"] = {key: value for key, value in (network or {}).items() if key != _SAID}
    said = (_SAID, "expect", "machines")
    plain = {key: value for key, value in raw.items() if key not in said}
    return hashlib.sha256(msgspec.json.encode(plain, order="sorted")).hexdigest()[:16]


def _side(choice: StackChoice) -> Side | None:
    in_kernel = {end.kind.in_kernel for end in choice.ends}
    if len(in_kernel) > 1:
        return None
    return Side.KERNEL if in_kernel.pop() else Side.OURS


def _source(path: Path) -> str:
    text = document.read_text(path)
    heads = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
    for section in SECTIONS:
        if section not in heads:
            line = len(text.splitlines()) or 1
            raise InputError(f"has no section '## {section}'", file=path, line=line)
    return text


def _check_claim(written: Document[PublishedSpec], paper: Paper, name: str) -> None:
    """Refuse a claim without an expectation or a reason for its absence on a side."""
    claim, place = written.value.claims[name], join_path("claims", name)
    for side in Side:
        expected = any(paper.expects(name, side))
        if expected and side in claim.cannot:
            message = f"an expectation of the {side} side names this claim, so it can be judged"
            raise written.error(message, join_path("claims", name, "cannot"))
        if not expected and side not in claim.cannot:
            raise written.error(
                f"no expectation of the {side} side names this claim",
                place,
                f"add 'claim: {name}' to one in 'expect', or say why: 'cannot: {{{side}: ...}}'",
            )
        if not expected and side in claim.because:
            raise written.error(
                f"the {side} side has no expectation of this claim, and so no result to explain",
                join_path("claims", name, "because"),
            )


def _check_expects(paper: Paper, experiment: PaperExperiment) -> None:
    """Refuse expectations of an unknown claim, and expectations on stacks of two sides."""
    read = document.load(experiment.path, Any)
    known = paper.published.claims
    for index, expect in enumerate(experiment.spec.expect):
        place = join_path("expect", index)
        elsewhere = experiment.path.parent != paper.folder
        if expect.claim is None or (elsewhere and expect.claim not in known):
            continue
        if expect.claim not in known:
            message = f"{paper.name} makes no claim {expect.claim!r}"
            raise read.error(message, place, nearest(expect.claim, known))
        stacks = [expect.stack, *(each.stack for each in expect.selectors)]
        unknown = [stack for stack in stacks if stack not in experiment.sides]
        if unknown:
            hint = nearest(unknown[0], experiment.sides)
            raise read.error(f"stack {unknown[0]!r} does not run here", place, hint)
        sides = {experiment.sides[stack] for stack in stacks}
        if len(sides) > 1 or None in sides:
            raise read.error(
                "an expectation of a claim needs stacks of one side; these are of two", place
            )
        with read.placing(place):
            _check_metric(experiment, expect.name)
        if next(subjects(expect, experiment.cells), None) is None:
            raise read.error(f"no cell of {expect.stack!r} has these parameters", place)


def _check_value(written: Document[PublishedSpec], paper: Paper, index: int) -> None:
    value, place = written.value.values[index], join_path("values", index)
    with written.placing(place):
        if value.claim not in written.value.claims:
            hint = nearest(value.claim, written.value.claims)
            raise InputError(f"there is no claim {value.claim!r}", hint=hint)
        experiment = None if value.experiment is None else _named(paper, value.experiment)
        _check_metric(experiment, value.metric)
        number(value)
        if experiment is not None:
            for stack in value.stacks:
                cell_of(experiment, stack, value.parameters)
                if value.bases:
                    base_of(experiment, stack, value)


def _check_figure(written: Document[PublishedSpec], paper: Paper, index: int) -> None:
    figure = written.value.figures[index]
    with written.placing(join_path("figures", index)):
        experiment = _named(paper, figure.experiment)
        _check_metric(experiment, figure.metric)
        axes = (figure.x, figure.y, figure.paths, *figure.where)
        for name in filter(None, axes):
            if name not in experiment.spec.parameters:
                hint = nearest(name, experiment.spec.parameters)
                raise InputError(f"{name!r} is not a parameter of {experiment.name}", hint=hint)
        for stack in (*figure.stacks, *figure.bases):
            if stack not in experiment.sides:
                raise InputError(f"no stack {stack!r}", hint=nearest(stack, experiment.sides))


def _check_metric(experiment: PaperExperiment | None, name: str) -> None:
    """Refuse a metric that neither testbed nor a program of the experiment has."""
    own = {} if experiment is None else own_metrics(experiment.spec)
    known = {**metrics(), **own}
    if parse(name).metric not in known:
        raise unknown(parse(name).metric, known)


def _named(paper: Paper, name: str) -> PaperExperiment:
    if name not in paper.experiments:
        raise InputError(f"there is no experiment {name!r}", hint=nearest(name, paper.experiments))
    return paper.experiments[name]


def number(value: ValueSpec) -> float:
    """Return a published value in the unit of its metric, or as a ratio.

    :raises InputError: the value is invalid.
    """
    relative = value.bases[0] if value.bases else None
    expect = ExpectSpec(metric=value.metric, stack="", relative_to=relative, at_least=value.value)
    found = bound(expect, value.value)
    if found is None:
        raise InputError("has no value")
    return found


def cell_of(experiment: PaperExperiment, stack: str, parameters: Mapping[str, Scalar]) -> Cell:
    """Return the cell of a stack with these parameters.

    :raises InputError: no cell matches, or several match.
    """
    if stack not in experiment.sides:
        raise InputError(f"no stack {stack!r}", hint=nearest(stack, experiment.sides))
    fitting: Sequence[Cell] = [
        cell
        for cell in experiment.cells
        if cell.stack == stack and parameters.items() <= cell.parameters.items()
    ]
    if len(fitting) != 1:
        count = len(fitting) or "no"
        hint = f"its parameters: {', '.join(experiment.spec.parameters) or 'none'}"
        raise InputError(f"{count} cells of {stack!r} have these parameters", hint=hint)
    return fitting[0]


def base_of(experiment: PaperExperiment, stack: str, value: ValueSpec) -> Cell:
    """Return the cell that a ratio is relative to: one of the same side and parameters.

    :raises InputError: no cell matches.
    """
    mine = cell_of(experiment, stack, value.parameters)
    for other in experiment.cells:
        same = experiment.sides.get(other.stack) is experiment.sides[stack]
        if other.stack in value.bases and same and other.point == mine.point:
            return other
    message = f"the side of {stack!r} has no cell of {' or '.join(value.bases)} to be relative to"
    raise InputError(message, path="relative_to", hint=nearest(value.bases[0], experiment.sides))
