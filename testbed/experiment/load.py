"""Reading experiment files, and what the command line changes about them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from testbed import document
from testbed.analysis import refusals
from testbed.document import Data, Document, Positions
from testbed.errors import InputError
from testbed.experiment.asked import is_deterministic, scope
from testbed.experiment.matrix import check_size, expand
from testbed.experiment.scenario import TOPOLOGY_KEYS, Scenario, scenario
from testbed.experiment.spec import CASE, DEFAULT_PROBES, ExperimentSpec
from testbed.experiment.venue import HOST, venue
from testbed.machine import machine
from testbed.results.model import Cell, ExperimentRecord
from testbed.topology.load import load_topology, substitute
from testbed.topology.resolve import resolve
from testbed.topology.spec import TopologySpec
from testbed.workload.spec import Command, Iperf3


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """A checked experiment.

    :param topology: the name of the topology.
    :param raw: the file as plain data, with the topology and all overrides in it: all one needs
        to read it again.
    :param scenarios: one for each of ``cells``.
    :param left_out: stacks of the file that ``machine`` does not have.
    """

    name: str
    machine: str
    topology: str
    raw: dict[str, Any]
    spec: ExperimentSpec
    cells: tuple[Cell, ...]
    scenarios: tuple[Scenario, ...]
    left_out: tuple[str, ...] = ()


class Overrides(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line changes.  ``values`` are paths and YAML texts, as for the matrix.

    :param machine: where the runs are to happen.
    :param virtual_time: whether machines will be used whose clocks are all virtual.
    """

    machine: str = HOST
    virtual_time: bool = False
    stacks: Sequence[str] = ()
    repetitions: int | None = None
    seed: int | None = None
    wire: str | None = None
    values: Sequence[tuple[str, str]] = ()


NO_OVERRIDES: Final = Overrides()


def load(path: Path, overrides: Overrides = NO_OVERRIDES) -> Experiment:
    """Read the experiment file at ``path``.

    :raises InputError: whatever is wrong with it or its topology, for any cell, with file:line.
    """
    written = document.load(path, ExperimentSpec)
    topology = _topology(written, path)
    _check_claims(written, topology, overrides)
    raw = cast("dict[str, Any]", written.raw) | {"topology": topology.raw}
    raw = _overridden(raw, overrides)
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


def _check_claims(
    written: Document[ExperimentSpec], topology: Document[TopologySpec], overrides: Overrides
) -> None:
    """Check the claims of the file, also those about what the command line leaves out.

    Who asks for one repetition there knows that it is one.
    """
    spec = written.value
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
    written = _recorded(record)
    return _experiment(record.name, machine, written, _inline(written, record.topology))


def read_spec(record: ExperimentRecord) -> ExperimentSpec:
    """Return just the specification of a result folder: enough to sum its runs up.

    :raises InputError: as :func:`restore`.
    """
    return _recorded(record).value


def _recorded(record: ExperimentRecord) -> Document[ExperimentSpec]:
    return document.convert(record.spec, ExperimentSpec, Positions({}), record.name)


def _topology(written: Document[ExperimentSpec], path: Path) -> Document[TopologySpec]:
    where = written.value.topology
    if isinstance(where, str):
        file = path.parent / where
        if not file.is_file():
            raise written.error(f"there is no file {file}", "topology")
        return load_topology(file)
    return _inline(written, path.stem)


def _inline(written: Document[ExperimentSpec], name: str) -> Document[TopologySpec]:
    """Check a topology that is written out in the experiment."""
    try:
        raw = cast("Data", written.value.topology)
        return document.convert(raw, TopologySpec, Positions({}), name)
    except InputError as error:
        path = ".".join(filter(None, ("topology", error.path)))
        raise written.error(error.message, path, error.hint) from None


def _overridden(raw: dict[str, Any], overrides: Overrides) -> dict[str, Any]:
    """Apply the command line to plain data; what the values mean is checked afterwards."""
    named = {
        "stacks": list(overrides.stacks) or None,
        "repetitions": overrides.repetitions,
        "seed": overrides.seed,
        "wire": overrides.wire,
    }
    raw = raw | {name: value for name, value in named.items() if value is not None}
    for path, text in overrides.values:
        raw = _assigned(raw, path, document.parse(text, f"--set {path}")[0])
    return raw


def _assigned(raw: dict[str, Any], path: str, value: Data) -> dict[str, Any]:
    matrix, cases = raw.get("matrix") or {}, raw.get("cases") or {}
    if path == CASE and value in cases:
        return raw | {"cases": {value: cases[value]}}
    if any(path in of for of in cases.values()):
        changed = {name: of | {path: value} for name, of in cases.items()}
        return raw | {"cases": changed}
    if path in matrix:  # it stays a parameter, for the expectations that name it
        return raw | {"matrix": matrix | {path: [value]}}
    first, *rest = map(str, document.split_path(path))
    if first in TOPOLOGY_KEYS:
        return raw | {"topology": substitute(raw["topology"], path, value)}
    if first == "workload" and len(rest) == 1:
        return raw | {"workload": raw["workload"] | {rest[0]: value}}
    fields = [field.name for field in msgspec.structs.fields(ExperimentSpec)]
    if rest or first not in fields:
        hint = document.nearest(first, ["workload", *TOPOLOGY_KEYS, *fields])
        raise InputError(f"--set {path}: leads nowhere in the experiment or topology", hint=hint)
    return raw | {first: value}


def _possible(
    written: Document[ExperimentSpec], machine: str
) -> tuple[Document[ExperimentSpec], tuple[str, ...]]:
    """Leave out the stacks that a machine does not have, and name them.

    Every machine that is not the host has some of its stacks only, and a file is written for all.
    """
    there = venue(machine).stacks
    stacks = [stack for stack in written.value.stacks if stack in there]
    left_out = tuple(stack for stack in written.value.stacks if stack not in there)
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
    _check_names(written, where.stacks)
    where.check(written)
    _check_matrix(written)
    scenario(written, topology, {})  # without parameters an error has a line of its own
    cells = expand(spec.parameters, spec.stacks)
    scenarios = [
        scenario(written, topology, cell.parameters) for cell in cells[:: len(spec.stacks)]
    ]
    return Experiment(
        name=name,
        machine=machine,
        topology=Path(topology.name).stem,
        raw=cast("dict[str, Any]", written.raw),
        spec=spec,
        cells=cells,
        scenarios=tuple(scenarios[cell.index // len(spec.stacks)] for cell in cells),
    )


def _check_names(written: Document[ExperimentSpec], stacks: Sequence[str]) -> None:
    """Check stacks and probes against those there are, and the timeout."""
    spec = written.value
    for index, stack in enumerate(spec.stacks):
        place = document.join_path("stacks", index)
        if stack not in stacks:
            hint = document.nearest(stack, stacks)
            raise written.error(f"there is no stack {stack!r}", place, hint)
        if "/" in stack and isinstance(spec.workload, Iperf3 | Command):
            message = f"{stack!r}: programs run on one stack, not on two"
            raise written.error(message, place, "use a built-in workload: bulk, reqres or stream")
        if stack in spec.stacks[:index]:
            raise written.error(f"stack {stack!r} is listed twice", place)
    for index, probe in enumerate(spec.probes):
        if probe not in DEFAULT_PROBES:
            known = document.nearest(probe, DEFAULT_PROBES)
            hint = "write 'pcap: true'" if probe == "pcap" else known
            place = document.join_path("probes", index)
            raise written.error(f"there is no probe {probe!r}", place, hint)
    try:
        _ = spec.timeout_ns
    except InputError as error:
        raise written.error(error.message, "timeout", error.hint) from None


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
        try:
            machine(name)
        except InputError as error:
            raise written.error(error.message, place, error.hint) from None


def _check_matrix(written: Document[ExperimentSpec]) -> None:
    spec = written.value
    places: list[tuple[str, tuple[str, ...]]] = [(path, ("matrix", path)) for path in spec.matrix]
    places += [(path, ("cases", name, path)) for name, of in spec.cases.items() for path in of]
    for path, keys in places:
        first = str(document.split_path(path)[0]) if path else ""
        if first not in ("workload", *TOPOLOGY_KEYS):
            hint = document.nearest(first, ["workload", *TOPOLOGY_KEYS])
            place = document.join_path(*keys)
            raise written.error("is no path of the topology or the workload", place, hint)
    try:
        check_size(spec.parameters, len(spec.stacks), spec.repetitions)
    except InputError as error:
        raise written.error(error.message, "matrix") from None
