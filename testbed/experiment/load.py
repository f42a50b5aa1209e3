"""Reading experiment files, with what the command line changes about them."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from testbed import document
from testbed.document import Data, Document, Positions
from testbed.errors import InputError, all_of
from testbed.experiment import checks, traces
from testbed.experiment.matrix import expand, stack_axes
from testbed.experiment.overrides import NO_OVERRIDES, Overrides, chosen, overridden
from testbed.experiment.scenario import Scenario, scenario
from testbed.experiment.spec import ExperimentSpec
from testbed.experiment.venue import venue
from testbed.machine.model import HOST
from testbed.results.model import Cell, ExperimentRecord
from testbed.topology.load import load_topology, located
from testbed.topology.resolve import resolve
from testbed.topology.spec import TopologySpec
from testbed.workload.stacks.choice import StackChoice, parse

_TRIED_WHOLE: Final = 64  # cells


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """A checked experiment.

    :param topology: the name of the topology.
    :param raw: the file as plain data, with the topology and all overrides in it: all one needs
        to read it again.
    :param choices: the stacks under test.
    :param written: the file; ``network`` the topology.
    :param left_out: stacks of the file that ``machine`` does not have.
    """

    name: str
    machine: str
    topology: str
    raw: dict[str, Any]
    spec: ExperimentSpec
    choices: tuple[StackChoice, ...]
    cells: tuple[Cell, ...]
    written: Document[ExperimentSpec]
    network: Document[TopologySpec]
    left_out: tuple[str, ...] = ()

    def scenario(self, cell: Cell) -> Scenario:
        """Return what the runs of a cell need.

        It is made when a run is due: a matrix may have thousands of cells.

        :raises InputError: two values of the matrix, each of them right, do not go together.
        """
        there = venue(self.machine).stacks
        return scenario(self.written, self.network, self.choices, cell, there)


class _Apart(msgspec.Struct, frozen=True, kw_only=True):
    """What of an experiment can be checked while the rest of it does not fit."""

    topology: str | dict[str, Any] | None = None
    stacks: tuple[str | dict[str, Any], ...] = ()


def load(path: Path, overrides: Overrides = NO_OVERRIDES) -> Experiment:
    """Read the experiment file at ``path``.

    :raises InputError: whatever is wrong with it or its topology, for any cell, with file:line.
    """
    written = _written(path)
    read_topology = functools.cache(lambda: _topology(written, path))
    found: list[Experiment] = []
    all_of(
        lambda: checks.choices_of(written),
        lambda: checks.paths(written),
        lambda: resolve(read_topology()),
        lambda: checks.names(written),
        lambda: checks.lengths(written),
        lambda: checks.events(written),
        lambda: checks.claims(written, read_topology(), overrides),
        lambda: _check_beside_stacks(written, read_topology(), overrides.machine),
        lambda: found.append(_as_asked(written, read_topology(), path, overrides)),
    )
    return found[0]


def _check_beside_stacks(
    written: Document[ExperimentSpec], topology: Document[TopologySpec], machine: str
) -> None:
    """Check the flows and the events where the stacks are wrong, with any other one."""
    there = venue(machine).stacks
    try:
        checks.choices_of(written)
    except InputError:
        checks.without_matrix(written, topology, [parse(there[0])], machine)


def _as_asked(
    written: Document[ExperimentSpec],
    topology: Document[TopologySpec],
    path: Path,
    overrides: Overrides,
) -> Experiment:
    """Return the experiment with what the command line changes, checked for every cell."""
    checks.choices_of(written)
    raw = traces.located(written, path.parent) | {"topology": topology.raw}
    raw = overridden(raw, overrides)
    with _blaming(overrides, written.value, path):
        wanted = document.convert(raw, ExperimentSpec, written.positions, str(path))
        checks.machines(wanted)
        left_out: tuple[str, ...] = ()
        if overrides.machine != HOST:
            wanted, left_out = _possible(wanted, overrides.machine)
        experiment = _experiment(
            path.stem,
            overrides.machine,
            wanted,
            document.convert(raw["topology"], TopologySpec, topology.positions, topology.name),
        )
    return msgspec.structs.replace(experiment, left_out=left_out)


def glance(path: Path, stacks: Sequence[str] = ()) -> ExperimentSpec:
    """Read an experiment file to see what it asks for, without a check of it as a whole.

    :param stacks: instead of those of the file, as the command line names them.
    :raises InputError: it is no experiment, with file and line.
    """
    spec = _written(path).value
    return msgspec.structs.replace(spec, stacks=chosen(spec.stacks, stacks) or spec.stacks)


def _written(path: Path) -> Document[ExperimentSpec]:
    """Read the file, and say what it is if it is a topology."""
    try:
        return document.load(path, ExperimentSpec)
    except InputError as error:
        raw = document.load(path, Any).raw
        if isinstance(raw, dict) and {"nodes", "links"} & raw.keys() and "topology" not in raw:
            raise InputError(
                "is a topology, not an experiment",
                file=str(path),
                hint=f"`testbed up {path}` builds it; an experiment names it under 'topology'",
            ) from None
        raise InputError.together([error, *_wrong_besides(path)]) from None


def _wrong_besides(path: Path) -> Iterator[InputError]:
    """Yield what is wrong with the topology and the stacks of a file that is no experiment yet."""
    try:
        apart = document.load(path, _Apart)
        all_of(
            lambda: _check_topology(apart, path),
            lambda: checks.each_stack(apart, apart.value.stacks),
        )
    except InputError as error:
        yield from error.every


def _check_topology(written: Document[_Apart], path: Path) -> None:
    if written.value.topology is not None:
        resolve(_topology(written, path))


@contextlib.contextmanager
def _blaming(overrides: Overrides, spec: ExperimentSpec, file: Path) -> Iterator[None]:
    """Blame an option of the command line for what it brought about, not a line of the file.

    :param spec: what the file says.
    """
    try:
        yield
    except InputError as error:
        blamed = [_blamed(each, overrides, spec, file) for each in error.every]
        raise InputError.together(blamed) from None


def _blamed(
    error: InputError, overrides: Overrides, spec: ExperimentSpec, file: Path
) -> InputError:
    keys = document.split_path(error.path or "")
    # A topology that is written out stands below `topology`; the command line leaves that out.
    first = {*keys[:2]} if keys[:1] == ("topology",) else {*keys[:1]}
    options = {
        "stacks": [f"--stack {text}" for text in overrides.stacks],
        "repetitions": [f"--repetitions {overrides.repetitions}"],
        "max_repetitions": [f"--max-repetitions {overrides.max_repetitions}"],
        "seed": [f"--seed {overrides.seed}"],
        "wire": [f"--wire {overrides.wire}"],
    }
    given = {
        name for name in options if getattr(overrides, name) not in (None, ()) and name in first
    }
    blamed = [option for name in given for option in options[name]]
    blamed += [
        f"--set {path}={text}"
        for path, text in overrides.values
        if document.split_path(path)[0] in first
    ]
    if first & {"matrix", "cases"}:
        axes = {axis for axis, _ in checks.places(spec)}
        blamed += _axes_to_blame(overrides, axes, file, error)
    if not blamed:
        return error
    return InputError(f"{', '.join(blamed)}: {error.message}", hint=error.hint)


def _axes_to_blame(
    overrides: Overrides, axes: Container[str], file: Path, error: InputError
) -> list[str]:
    """Return the options that set axes of the matrix or the cases, unless the file is wrong itself.

    :param error: of a cell.
    """
    rest = [(path, text) for path, text in overrides.values if path not in axes]
    if len(rest) == len(overrides.values):
        return []
    try:
        load(file, msgspec.structs.replace(overrides, values=rest))
    except InputError as own:
        # Before the last colons are the values of the cell, which differ.
        if own.message.rpartition(": ")[2] == error.message.rpartition(": ")[2]:
            return []
    return [f"--set {path}={text}" for path, text in overrides.values if path in axes]


def restore(record: ExperimentRecord, machine: str = HOST) -> Experiment:
    """Return the experiment of a result folder, ready to run.

    :param machine: where its runs happen.
    :raises InputError: this version of testbed reads it differently.
    """
    written = document.convert(record.spec, ExperimentSpec, Positions({}), record.name)
    return _experiment(record.name, machine, written, _inline(written, record.topology))


def read_spec(record: ExperimentRecord) -> ExperimentSpec:
    """Return just the specification of a result folder: enough to sum its runs up.

    What other packages added need not be here.

    :raises InputError: as :func:`restore`.
    """
    read_only = document.convert(
        record.spec, ExperimentSpec, Positions({}), record.name, legible=True
    )
    return read_only.value


def _topology(written: Document[Any], path: Path) -> Document[TopologySpec]:
    where = written.value.topology
    if isinstance(where, str):
        file = _tidy(path.parent / where)
        if not os.path.isfile(file):  # noqa: PTH113 - also of names that are too long
            raise written.error(f"there is no file {file}", "topology")
        return load_topology(file)
    return located(_inline(written, path.stem), path.parent)


def _tidy(path: Path) -> Path:
    """Leave ``..`` out of a path where that leads to the same file."""
    short = Path(os.path.normpath(path))
    with contextlib.suppress(OSError):
        if short.samefile(path):
            return short
    return path


def _inline(written: Document[Any], name: str) -> Document[TopologySpec]:
    """Check a topology that is written out in the experiment.

    :param name: of the topology, where there is no file.
    """
    raw = cast("Data", written.value.topology)
    file = written.name if Path(written.name).stem == name else name
    return document.convert(raw, TopologySpec, written.positions.below("topology"), file)


def _possible(
    written: Document[ExperimentSpec], machine: str
) -> tuple[Document[ExperimentSpec], tuple[str, ...]]:
    """Leave out the stacks that a machine does not have, and name them.

    Every machine that is not the host has some of its stacks only, and a file is written for all.
    """
    there = venue(machine).stacks
    choices = checks.choices_of(written)
    runs = [all(end.name in there for end in choice.ends) for choice in choices]
    stacks = [raw for raw, it_runs in zip(written.value.stacks, runs, strict=True) if it_runs]
    left_out = tuple(it.label for it, it_runs in zip(choices, runs, strict=True) if not it_runs)
    if not stacks:
        none = f"{', '.join(left_out)}: not on the machine {machine!r}"
        raise written.error(none, "stacks", f"there are: {', '.join(there)}")
    raw = cast("dict[str, Any]", written.raw) | {"stacks": stacks}
    return document.convert(raw, ExperimentSpec, written.positions, written.name), left_out


def _experiment(
    name: str,
    machine: str,
    written: Document[ExperimentSpec],
    topology: Document[TopologySpec],
) -> Experiment:
    spec = written.value
    where = venue(machine)
    choices = checks.choices_of(written)
    all_of(
        lambda: checks.names(written),
        lambda: checks.lengths(written),
        lambda: checks.events(written),
        lambda: checks.stacks(written, choices, where.stacks),
        lambda: where.check(written),
        lambda: checks.matrix(written, choices),
        lambda: checks.without_matrix(written, topology, choices, machine),
    )
    experiment = Experiment(
        name=name,
        machine=machine,
        topology=Path(topology.name).stem,
        raw=cast("dict[str, Any]", written.raw),
        spec=spec,
        choices=choices,
        cells=expand(spec.parameters, choices),
        written=written,
        network=topology,
    )
    for cell in _samples(experiment):
        checks.boxes(machine, experiment.scenario(cell).topology, topology)
    return experiment


def _samples(experiment: Experiment) -> Iterator[Cell]:
    """Yield the cells by which an experiment is checked before anything is started.

    A small matrix is tried whole, of a large one each value of each axis beside the first values of
    the others.
    """
    spec = experiment.spec
    if not spec.parameters:
        return  # each stack was tried already
    if len(experiment.cells) <= _TRIED_WHOLE:
        yield from experiment.cells
        return
    for choice in experiment.choices:
        axes = stack_axes(spec.parameters, choice)
        first = {path: values[0] for path, values in axes.items()}
        for path, values in axes.items():
            for value in values:
                yield Cell(stack=choice.label, parameters=first | {path: value})
