"""Reading experiment files, and what the command line changes about them."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from testbed import document
from testbed.analysis import refusals
from testbed.document import Data, Document, Positions
from testbed.errors import InputError, all_of
from testbed.experiment import traces
from testbed.experiment.asked import is_deterministic, scope
from testbed.experiment.matrix import check_size, expand, stack_axes
from testbed.experiment.scenario import FLOWS, TOPOLOGY_KEYS, Scenario, scenario
from testbed.experiment.spec import CASE, REPETITIONS, WIRE, EventSpec, ExperimentSpec
from testbed.experiment.venue import SIMULATION, venue
from testbed.machine import machine
from testbed.machine.model import HOST
from testbed.probe.probes import PROBES
from testbed.results.model import STACK_PREFIX, Cell, ExperimentRecord
from testbed.topology.load import load_topology, located, substitute
from testbed.topology.model import Topology
from testbed.topology.resolve import resolve
from testbed.topology.spec import TopologySpec
from testbed.units import format_time
from testbed.workload.base import Workload
from testbed.workload.flow import WORKLOAD
from testbed.workload.stacks.choice import StackChoice, carried_by, parse, read

BLOCKS: Final = 10
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


class Overrides(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line changes.  ``values`` are paths and YAML texts, as for the matrix.

    :param machine: where the runs are to happen.
    :param virtual_time: whether machines will be used whose clocks are all virtual.
    :param until_decided: add repetitions until the claims are decided, up to ``max_repetitions``,
        which is by default :data:`BLOCKS` times what the file asks for.
    """

    machine: str = HOST
    virtual_time: bool = False
    stacks: Sequence[str] = ()
    repetitions: int | None = None
    until_decided: bool = False
    max_repetitions: int | None = None
    seed: int | None = None
    wire: str | None = None
    values: Sequence[tuple[str, str]] = ()


class _Apart(msgspec.Struct, frozen=True, kw_only=True):
    """What of an experiment can be checked while the rest of it does not fit."""

    topology: str | dict[str, Any] | None = None
    stacks: tuple[str | dict[str, Any], ...] = ()


NO_OVERRIDES: Final = Overrides()


def load(path: Path, overrides: Overrides = NO_OVERRIDES) -> Experiment:
    """Read the experiment file at ``path``.

    :raises InputError: whatever is wrong with it or its topology, for any cell, with file:line.
    """
    written = _written(path)
    read_topology = functools.cache(lambda: _topology(written, path))
    found: list[Experiment] = []
    all_of(
        lambda: _choices(written),
        lambda: _check_paths(written),
        lambda: resolve(read_topology()),
        lambda: _check_names(written),
        lambda: _check_lengths(written),
        lambda: _check_events(written),
        lambda: _check_claims(written, read_topology(), overrides),
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
        _choices(written)
    except InputError:
        _check_bare(written, topology, [parse(there[0])], machine)


def _as_asked(
    written: Document[ExperimentSpec],
    topology: Document[TopologySpec],
    path: Path,
    overrides: Overrides,
) -> Experiment:
    """Return the experiment with what the command line changes, checked for every cell."""
    _choices(written)
    raw = traces.located(written, path.parent) | {"topology": topology.raw}
    raw = _overridden(raw, overrides)
    with _blaming(overrides, written.value, path):
        wanted = document.convert(raw, ExperimentSpec, written.positions, str(path))
        _check_machines(wanted)
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
    return msgspec.structs.replace(spec, stacks=_chosen(spec.stacks, stacks) or spec.stacks)


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
            lambda: _check_each_stack(apart, apart.value.stacks),
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
        axes = {axis for axis, _ in _places(spec)}
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


def _check_claims(
    written: Document[ExperimentSpec], topology: Document[TopologySpec], overrides: Overrides
) -> None:
    """Check the claims of the file, also those about what the command line leaves out.

    Who asks for one repetition there knows that it is one.
    """
    spec = written.value
    _choices(written)
    decided = (
        spec.repetitions > 1
        or overrides.repetitions is not None
        or overrides.virtual_time
        or is_deterministic(overrides.machine)
        or (bool(spec.machines) and all(map(is_deterministic, spec.machines)))
    )
    if spec.expect:
        about = scope(spec, resolve(topology), decided=decided)
        refusals.check(spec.expect, about, written)


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


def _overridden(raw: dict[str, Any], overrides: Overrides) -> dict[str, Any]:
    """Apply the command line to plain data; what the values mean is checked afterwards."""
    named = {
        "stacks": _chosen(raw.get("stacks") or (), overrides.stacks) or None,
        "repetitions": overrides.repetitions,
        "max_repetitions": _most(raw, overrides),
        "seed": overrides.seed,
        "wire": overrides.wire,
    }
    raw = raw | {name: value for name, value in named.items() if value is not None}
    for path, text in overrides.values:
        value = _given(path, text)
        try:
            raw = _assigned(raw, path, value)
        except InputError as error:
            raise InputError(f"--set {path}: {error.message}", hint=error.hint) from None
    return raw


def _most(raw: dict[str, Any], overrides: Overrides) -> int | None:
    if not overrides.until_decided or overrides.max_repetitions is not None:
        return overrides.max_repetitions
    if raw.get("max_repetitions") is not None:
        return None  # as the file says
    block = overrides.repetitions or raw.get("repetitions") or REPETITIONS
    return BLOCKS * block if isinstance(block, int) else None


def _given(path: str, text: str) -> Data:
    """Read a value of the command line; a trace is a file as seen from here."""
    value = document.parse(text, f"--set {path}")[0]
    if not traces.is_trace(path):
        return value
    try:
        return cast("Data", traces.absolute(value, Path()))
    except InputError as error:
        raise InputError(f"--set {path}: {error}", hint=error.hint) from None


def _chosen(written: Sequence[Any], wanted: Sequence[str]) -> list[Any]:
    """Return the stacks that the command line names: by a label of the file, or written out."""
    labelled = {read(raw).label: raw for raw in written}
    return [labelled.get(text, text) for text in wanted]


def _assigned(raw: dict[str, Any], path: str, value: Data) -> dict[str, Any]:
    matrix, cases = _mapping(raw, "matrix"), _mapping(raw, "cases")
    if path == CASE and isinstance(value, str) and value in cases:
        return raw | {"cases": {value: cases[value]}}
    if any(path in _mapping(cases, name) for name in cases):
        changed = {name: of | {path: value} for name, of in cases.items()}
        return raw | {"cases": changed}
    if path in matrix or path.startswith(STACK_PREFIX):  # a parameter, as claims may name it
        return raw | {"matrix": matrix | {path: [value]}}
    first, *rest = [*map(str, document.split_path(path))] or [""]
    if first in TOPOLOGY_KEYS:
        return raw | {"topology": substitute(raw["topology"], path, value)}
    if first == WORKLOAD and len(rest) == 1 and raw.get(WORKLOAD):
        return raw | {WORKLOAD: _mapping(raw, WORKLOAD) | {rest[0]: value}}
    flows = _mapping(raw, FLOWS)
    if first == FLOWS and len(rest) == 2 and rest[0] in flows:
        return raw | {FLOWS: flows | {rest[0]: _mapping(flows, rest[0]) | {rest[1]: value}}}
    fields = [field.name for field in msgspec.structs.fields(ExperimentSpec)]
    if rest or first not in fields:
        hint = document.nearest(path if rest else first, _paths(flows, fields))
        raise InputError("leads nowhere in the experiment or topology", hint=hint)
    return raw | {first: value}


def _mapping(raw: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return what stands under a name, nothing being an empty mapping.

    :raises InputError: it is no mapping; an option before this one may have made it so.
    """
    found = raw.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InputError(f"{name!r} is {found!r} by now, not a mapping")
    return found


def _paths(flows: Iterable[str], fields: Iterable[str]) -> list[str]:
    """Return what a path may begin with, for a hint."""
    return [WORKLOAD, *(f"{FLOWS}.{name}" for name in flows), *TOPOLOGY_KEYS, *fields]


def _check_each_stack(written: Document[Any], stacks: Sequence[object]) -> None:
    def check(index: int, raw: object) -> None:
        with written.placing(document.join_path("stacks", index)):
            read(raw).check()

    all_of(*(functools.partial(check, *stack) for stack in enumerate(stacks)))


def _choices(written: Document[ExperimentSpec]) -> tuple[StackChoice, ...]:
    """Return the stacks under test; what they name is there."""
    _check_each_stack(written, written.value.stacks)
    try:
        return written.value.choices
    except InputError as error:  # of how they go together
        raise written.error(error.message, error.path or "stacks", error.hint) from None


def _possible(
    written: Document[ExperimentSpec], machine: str
) -> tuple[Document[ExperimentSpec], tuple[str, ...]]:
    """Leave out the stacks that a machine does not have, and name them.

    Every machine that is not the host has some of its stacks only, and a file is written for all.
    """
    there = venue(machine).stacks
    choices = _choices(written)
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
    choices = _choices(written)
    all_of(
        lambda: _check_names(written),
        lambda: _check_lengths(written),
        lambda: _check_events(written),
        lambda: _check_stacks(written, choices, where.stacks),
        lambda: where.check(written),
        lambda: _check_matrix(written, choices),
        lambda: _check_bare(written, topology, choices, machine),
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
        _check_boxes(machine, experiment.scenario(cell).topology, topology)
    return experiment


def _check_bare(
    written: Document[ExperimentSpec],
    topology: Document[TopologySpec],
    choices: Sequence[StackChoice],
    machine: str,
) -> None:
    """Check the runs of each stack without the matrix: mistakes there have lines of their own."""
    there = venue(machine).stacks

    def check(choice: StackChoice) -> None:
        cell = Cell(stack=choice.label, parameters={})
        bare = scenario(written, topology, choices, cell, there).topology
        _check_boxes(machine, bare, topology)

    all_of(*(functools.partial(check, choice) for choice in choices))


def _check_boxes(machine: str, topology: Topology, written: Document[TopologySpec]) -> None:
    """Refuse middleboxes where there are none: they stand in simulated networks only."""
    for link in topology.links:
        if link.middlebox and machine != SIMULATION:
            raise written.error(
                f"the middlebox {link.middlebox[0].kind!r} can only be simulated",
                document.join_path("links", link.name, "middlebox"),
                "add --sim",
            )


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


def _check_names(written: Document[ExperimentSpec]) -> None:
    """Check probes against those there are."""
    known = [WIRE, *(name for name in PROBES.names() if name != "pcap")]

    def check(index: int, probe: str) -> None:
        place = document.join_path("probes", index)
        if probe not in known:
            hint = "write 'pcap: true'" if probe == "pcap" else document.nearest(probe, known)
            raise written.error(f"there is no probe {probe!r}", place, hint)
        if probe != WIRE:
            with written.placing(place):
                PROBES.check(probe)

    all_of(*(functools.partial(check, *named) for named in enumerate(written.value.probes)))


def _check_lengths(written: Document[ExperimentSpec]) -> None:
    """Check the timeout, and that no flow needs longer."""
    spec = written.value
    try:
        timeout_ns = spec.timeout_ns
    except InputError as error:
        raise written.error(error.message, "timeout", error.hint) from None

    def check(name: str, flow: Workload) -> None:
        if flow.longest_ns > timeout_ns:
            place = WORKLOAD if spec.workload is not None else document.join_path(FLOWS, name)
            raise written.error(
                f"lasts {format_time(flow.longest_ns)}, longer than the timeout of a run, "
                f"{format_time(timeout_ns)}",
                place,
                "give the experiment a longer timeout",
            )

    all_of(*(functools.partial(check, *named) for named in spec.named_flows.items()))


def _check_events(written: Document[ExperimentSpec]) -> None:
    """Refuse events that could never be played."""
    spec = written.value
    try:
        timeout_ns = spec.timeout_ns
    except InputError:
        return  # said of the timeout
    ends = [flow.end_ns for flow in spec.named_flows.values()]
    known = [end for end in ends if end is not None]
    last_ns = max(known) if len(known) == len(ends) else None

    def check(index: int, event: EventSpec) -> None:
        place = document.join_path("events", index)
        if event.at_ns >= timeout_ns:
            raise written.error(
                f"is at {format_time(event.at_ns)}, after the timeout of a run, "
                f"{format_time(timeout_ns)}",
                place,
                "give the experiment a longer timeout",
            )
        if last_ns is not None and event.at_ns >= last_ns:
            raise written.error(
                f"is at {format_time(event.at_ns)}, when the flows are over "
                f"({format_time(last_ns)})",
                place,
                "let them last longer, or move the event",
            )

    all_of(*(functools.partial(check, *named) for named in enumerate(spec.events)))


def _check_stacks(
    written: Document[ExperimentSpec], choices: Sequence[StackChoice], there: Sequence[str]
) -> None:
    """Check that the machine has the stacks, or what carries those of rivals."""
    spec = written.value
    wanted = [(document.join_path("stacks", index), choice) for index, choice in enumerate(choices)]
    for name, flow in spec.named_flows.items():
        if flow.stack is None:
            continue
        place = document.join_path(FLOWS, name, "stack")
        if spec.workload is not None:
            raise written.error("a workload runs on the stacks under test", "workload.stack")
        with written.placing(place):
            carried_by(read(flow.stack), there).check()
    for place, choice in wanted:
        for end in choice.ends:
            if end.name not in there:
                raise written.error(
                    f"there is no stack {end.name!r} here", place, f"there are: {', '.join(there)}"
                )


def _check_machines(written: Document[ExperimentSpec]) -> None:
    """Check that there can be such machines; whether they work here is asked when they start."""
    wanted = written.value.machines
    for index, name in enumerate(wanted):
        place = document.join_path("machines", index)
        _, _, kernel = name.partition(":")
        if "/" in kernel and not kernel.startswith("/"):
            raise written.error(f"{kernel!r} is not an absolute path", place)
        if name in wanted[:index]:
            raise written.error(f"machine {name!r} is listed twice", place)
        with written.placing(place):
            machine(name)


def _places(spec: ExperimentSpec) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each path that the matrix and the cases set, and the keys that lead to it."""
    for path in spec.matrix:
        yield path, ("matrix", path)
    for name, case in spec.cases.items():
        for path in case:
            yield path, ("cases", name, path)


def _check_paths(written: Document[ExperimentSpec]) -> None:
    def check(path: str, keys: tuple[str, ...]) -> None:
        with written.placing(document.join_path(*keys)):
            document.split_path(path)

    all_of(*(functools.partial(check, *place) for place in _places(written.value)))


def _check_matrix(written: Document[ExperimentSpec], choices: Sequence[StackChoice]) -> None:
    _check_paths(written)
    spec = written.value
    known = (WORKLOAD, FLOWS, *TOPOLOGY_KEYS)

    def check(path: str, keys: tuple[str, ...]) -> None:
        place = document.join_path(*keys)
        if path.startswith(STACK_PREFIX):
            _check_option(written, choices, path.removeprefix(STACK_PREFIX), keys, place)
            return
        first = str(document.split_path(path)[0]) if path else ""
        if first not in known:
            hint = document.nearest(first, known)
            raise written.error("is no path of the topology or of a flow", place, hint)

    all_of(*(functools.partial(check, *place) for place in _places(spec)))
    try:
        check_size(spec.parameters, choices, spec.max_repetitions or spec.repetitions)
    except InputError as error:
        raise written.error(error.message, "matrix") from None


def _check_option(
    written: Document[ExperimentSpec],
    choices: Sequence[StackChoice],
    option: str,
    keys: tuple[str, ...],
    place: str,
) -> None:
    """Check an axis that is an option of the stacks under test."""
    if keys[0] == "cases":
        raise written.error("options of stacks are axes of the matrix, not of cases", place)
    having = [choice for choice in choices if choice.has(option)]
    if not having:
        known = sorted({name for choice in choices for name in choice.known})
        raise written.error(
            f"no stack here has the option {option!r}", place, document.nearest(option, known)
        )
    for value in written.value.matrix[STACK_PREFIX + option]:
        for choice in having:
            with written.placing(place):
                choice.replaced({option: value}).check()
