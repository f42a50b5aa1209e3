"""A reader of experiment files that applies the changes of the command line."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from testbed import document
from testbed.document import Data, Document, Positions
from testbed.errors import InputError, all_of
from testbed.experiment import checks, files, table
from testbed.experiment.blame import blaming
from testbed.experiment.matrix import expand
from testbed.experiment.networks import Networks
from testbed.experiment.overrides import NO_OVERRIDES, Overrides, chosen, overridden
from testbed.experiment.patch import Patch
from testbed.experiment.rehearsal import Rehearsal
from testbed.experiment.scenario import Scenario, scenario
from testbed.experiment.spec import ExperimentSpec
from testbed.experiment.venue import venue
from testbed.machine.model import HOST
from testbed.results.model import Cell, ExperimentRecord
from testbed.topology.load import load_topology, located
from testbed.topology.resolve import resolve
from testbed.topology.spec import TopologySpec
from testbed.workload.stacks.choice import StackChoice, parse


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """A checked experiment.

    :param topology: the name of the topology.
    :param raw: the file as plain data, with the topology and all overrides: enough to read it
        again.
    :param choices: the stacks under test.
    :param written: the content of the file.
    :param networks: the networks of its cells.
    :param left_out: the stacks of the file that ``machine`` lacks.
    """

    name: str
    machine: str
    topology: str
    raw: dict[str, Any]
    spec: ExperimentSpec
    choices: tuple[StackChoice, ...]
    cells: tuple[Cell, ...]
    written: Document[ExperimentSpec]
    networks: Networks
    left_out: tuple[str, ...] = ()

    @property
    def network(self) -> Document[TopologySpec]:
        """The network without values of the matrix."""
        return self.networks.written

    def scenario(self, cell: Cell) -> Scenario:
        """Return the scenario of a cell's runs.

        A scenario is made when its run starts, because a matrix may have thousands of cells.

        :raises InputError: values of the matrix are valid each but not together.
        """
        there = venue(self.machine).stacks
        return scenario(self.written, self.networks, self.choices, cell, there)


class _Apart(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of an experiment that can be checked separately."""

    topology: str | dict[str, Any] | None = None
    stacks: tuple[str | dict[str, Any], ...] = ()


def load(path: Path, overrides: Overrides = NO_OVERRIDES) -> Experiment:
    """Read the experiment file at ``path``.

    :raises InputError: it or its topology is invalid, in any cell; with file and line.
    """
    try:
        written = _written(path)
    except InputError as error:
        besides = _wrong_besides(path, error, overrides)
        raise InputError.together([error, *besides]) from None
    return _checked(written, path, overrides)


def _checked(written: Document[ExperimentSpec], path: Path, overrides: Overrides) -> Experiment:
    read_topology = functools.cache(lambda: _topology(written, path))
    found: list[Experiment] = []
    all_of(
        lambda: _check_file(written, read_topology, overrides),
        lambda: found.append(_as_asked(written, read_topology(), path, overrides)),
    )
    return found[0]


def _check_file(
    written: Document[ExperimentSpec],
    read_topology: Callable[[], Document[TopologySpec]],
    overrides: Overrides,
) -> None:
    """Check the file itself, without the changes of the command line.

    The runs are planned only once, after the changes of the command line.
    """
    all_of(
        lambda: checks.choices_of(written),
        lambda: checks.paths(written),
        lambda: resolve(read_topology()),
        lambda: checks.names(written),
        lambda: checks.lengths(written),
        lambda: checks.events(written),
        lambda: checks.claims(written, read_topology(), overrides),
        lambda: _check_beside_stacks(written, read_topology(), overrides),
    )


def _check_beside_stacks(
    written: Document[ExperimentSpec], topology: Document[TopologySpec], overrides: Overrides
) -> None:
    """Check the matrix, the flows and the events with the valid stacks, if others are invalid."""
    good = checks.readable(written)
    if len(good) == len(written.value.stacks):
        return  # all of it is checked after the changes of the command line
    machine = overrides.machine
    rehearsal = Rehearsal(
        written=written,
        networks=Networks(topology),
        choices=good or (parse(venue(machine).stacks[0]),),
        machine=machine,
        here=_here(overrides) and bool(good),
    )
    all_of(lambda: checks.matrix(written, good), rehearsal.hold)


def _here(overrides: Overrides) -> bool:
    """Return whether the runs happen on this kernel, according to the command line."""
    return overrides.machine == HOST and not overrides.elsewhere


def _as_asked(
    written: Document[ExperimentSpec],
    topology: Document[TopologySpec],
    path: Path,
    overrides: Overrides,
) -> Experiment:
    """Return the experiment with the changes of the command line, checked for every cell."""
    checks.choices_of(written)
    raw = files.located(written, path.parent) | {"topology": topology.raw}
    raw = overridden(raw, overrides)
    with blaming(overrides, written.value, functools.partial(load, path)):
        wanted = document.convert(raw, ExperimentSpec, written.positions, str(path))
        left_out: tuple[str, ...] = ()
        if overrides.machine != HOST:
            wanted, left_out = _possible(wanted, overrides.machine)
        network = document.convert(raw["topology"], TopologySpec, topology.positions, topology.name)
        networks = Networks(network)
        all_of(
            lambda: checks.machines(wanted),
            lambda: checks.polling(wanted, overrides),
            lambda: _check(wanted, networks, overrides.machine, here=_here(overrides)),
        )
        experiment = _experiment(path.stem, overrides.machine, wanted, networks)
    return msgspec.structs.replace(experiment, left_out=left_out)


def _check(
    written: Document[ExperimentSpec], networks: Networks, machine: str, *, here: bool
) -> None:
    """Check an experiment, and that it can run on a machine.  Raises InputError."""
    choices = checks.choices_of(written)
    where = venue(machine)
    rehearsal = Rehearsal(
        written=written, networks=networks, choices=choices, machine=machine, here=here
    )
    all_of(
        lambda: checks.names(written),
        lambda: checks.lengths(written),
        lambda: checks.events(written),
        lambda: checks.stacks(written, choices, where.stacks),
        lambda: where.check(written),
        lambda: checks.matrix(written, choices),
        rehearsal.hold,
    )


def glance(path: Path, stacks: Sequence[str] = ()) -> ExperimentSpec:
    """Read the types of an experiment file, without the checks of its whole.

    :param stacks: the stacks of the command line, which replace those of the file.
    :raises InputError: it is no experiment; with file and line.
    """
    spec = _written(path).value
    return msgspec.structs.replace(spec, stacks=chosen(spec.stacks, stacks) or spec.stacks)


def _written(path: Path) -> Document[ExperimentSpec]:
    """Read the file. If it is a topology, the error says so."""
    read = table.filled(document.load(path, Any), path.parent)
    try:
        return document.convert(read.raw, ExperimentSpec, read.positions, read.name)
    except InputError:
        raw = read.raw
        if isinstance(raw, dict) and {"nodes", "links"} & raw.keys() and "topology" not in raw:
            raise InputError(
                "is a topology, not an experiment",
                file=str(path),
                hint=f"build it with `testbed up {path}`; an experiment has it under 'topology'",
            ) from None
        raise


def _wrong_besides(path: Path, error: InputError, overrides: Overrides) -> Iterator[InputError]:
    """Yield the errors in the rest of a file that has some values of the wrong type."""
    try:
        read = table.filled(document.load(path, Any), path.parent)
    except InputError:
        return  # this error is known already
    fields = [field.encode_name for field in msgspec.structs.fields(ExperimentSpec)]
    patch = Patch(read, error, fields)
    try:
        patched = document.convert(patch.raw, ExperimentSpec, read.positions, read.name)
    except InputError:
        yield from _wrong_apart(path)
        return
    try:
        where = Overrides(machine=overrides.machine, elsewhere=overrides.elsewhere)
        _checked(patched, path, where)
    except InputError as besides:
        yield from patch.others(besides.every)


def _wrong_apart(path: Path) -> Iterator[InputError]:
    """Yield the errors in the topology and the stacks of a file that cannot be patched."""
    try:
        apart = document.load(path, _Apart)
    except InputError:
        return  # wrong types are reported already
    try:
        all_of(
            lambda: _check_topology(apart, path),
            lambda: checks.each_stack(apart, apart.value.stacks),
        )
    except InputError as error:
        yield from error.every


def _check_topology(written: Document[_Apart], path: Path) -> None:
    if written.value.topology is not None:
        resolve(_topology(written, path))


def recall(record: ExperimentRecord) -> Experiment:
    """Return the experiment of a result folder; this machine need not be able to run it.

    :raises InputError: this version of testbed reads it differently.
    """
    written, network = _recorded(record)
    return _experiment(record.name, HOST, written, Networks(network))


def restore(record: ExperimentRecord, machine: str = HOST) -> Experiment:
    """Return the experiment of a result folder, ready to run.

    :param machine: the machine of its runs.
    :raises InputError: this version of testbed reads it differently, or the machine cannot run it.
    """
    written, network = _recorded(record)
    networks = Networks(network)
    _check(written, networks, machine, here=machine == HOST)
    return _experiment(record.name, machine, written, networks)


def _recorded(
    record: ExperimentRecord,
) -> tuple[Document[ExperimentSpec], Document[TopologySpec]]:
    written = document.convert(record.spec, ExperimentSpec, Positions({}), record.name)
    return written, _inline(written, record.topology)


def read_spec(record: ExperimentRecord) -> ExperimentSpec:
    """Read only the specification of a result folder: enough to summarise its runs.

    Plugins need not be installed.

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
    """Remove ``..`` from a path if the result names the same file."""
    short = Path(os.path.normpath(path))
    with contextlib.suppress(OSError):
        if short.samefile(path):
            return short
    return path


def _inline(written: Document[Any], name: str) -> Document[TopologySpec]:
    """Check an inline topology of the experiment.

    :param name: the name of the topology, as there is no file.
    """
    raw = cast("Data", written.value.topology)
    file = written.name if Path(written.name).stem == name else name
    return document.convert(raw, TopologySpec, written.positions.below("topology"), file)


def _possible(
    written: Document[ExperimentSpec], machine: str
) -> tuple[Document[ExperimentSpec], tuple[str, ...]]:
    """Remove the stacks that a machine lacks, and return their names.

    Every machine other than the host has only some of its stacks, and a file is for all machines.
    """
    there = venue(machine).stacks
    choices = checks.choices_of(written)
    runs = [all(end.name in there for end in choice.ends) for choice in choices]
    stacks = [raw for raw, it_runs in zip(written.value.stacks, runs, strict=True) if it_runs]
    left_out = tuple(it.label for it, it_runs in zip(choices, runs, strict=True) if not it_runs)
    if not stacks:
        none = f"{', '.join(left_out)}: not on the machine {machine!r}"
        raise written.error(none, "stacks", f"available: {', '.join(there)}")
    raw = cast("dict[str, Any]", written.raw) | {"stacks": stacks}
    return document.convert(raw, ExperimentSpec, written.positions, written.name), left_out


def _experiment(
    name: str,
    machine: str,
    written: Document[ExperimentSpec],
    networks: Networks,
) -> Experiment:
    spec = written.value
    choices = spec.choices
    checks.size(written, choices)
    return Experiment(
        name=name,
        machine=machine,
        topology=Path(networks.written.name).stem,
        raw=cast("dict[str, Any]", written.raw),
        spec=spec,
        choices=choices,
        cells=expand(spec.parameters, choices),
        written=written,
        networks=networks,
    )
