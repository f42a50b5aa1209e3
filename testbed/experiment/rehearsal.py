"""A rehearsal of an experiment: it plans all runs first, to find errors before the first run."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from testbed import sysctls
from testbed.document import Document, join_path
from testbed.errors import InputError, all_of
from testbed.experiment.matrix import expand, stack_axes
from testbed.experiment.networks import Networks
from testbed.experiment.scenario import PlannedFlow, scenario
from testbed.experiment.spec import CASE, ExperimentSpec
from testbed.experiment.venue import SIMULATION, venue
from testbed.results.model import STACK_PREFIX, Cell
from testbed.topology.carried import devices_of
from testbed.topology.model import Topology
from testbed.topology.plan import check_engine
from testbed.topology.spec import TopologySpec
from testbed.workload.stacks.choice import StackChoice
from testbed.workload.stacks.options import DEVICE

_TRIED_WHOLE: Final = 64  # cells


class Rehearsal(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of an experiment.

    :param choices: the stacks under test.
    :param machine: the machine for the runs.
    :param here: whether they use this kernel, so that its features can be checked.
    """

    written: Document[ExperimentSpec]
    networks: Networks
    choices: Sequence[StackChoice]
    machine: str
    here: bool

    def hold(self) -> None:
        """Plan the run of each stack without the matrix, and then cells of the matrix.

        :raises InputError: a run is invalid; with file and line. Errors without the matrix are
            reported at their own lines. For a wrong cell, the error names the value if a single one
            causes it.
        """
        try:
            all_of(*(functools.partial(self._alone, *stack) for stack in enumerate(self.choices)))
        except InputError as error:
            raise InputError.together([error, *self._wrong_singles(error.every)]) from None
        try:
            for cell in filter(self._fits, self._cells()):
                self._try(cell, "matrix")
        except InputError as error:
            raise InputError.together([*self._wrong_singles()] or [error]) from None

    def _wrong_singles(self, known: Sequence[InputError] = ()) -> Iterator[InputError]:
        """Yield the errors that single values of the matrix cause.

        :param known: the errors without the matrix.
        """
        said: set[tuple[str, str]] = set()
        for cell, place in self._singles():
            ((path, value),) = cell.parameters.items()
            try:
                self._try(cell, place)
            except InputError as error:
                for each in error.every:
                    itself = each.message.removeprefix(f"{path} = {value}: ")
                    old = any(itself.endswith(other.message) for other in known)
                    if not old and (path, itself) not in said:
                        said.add((path, itself))
                        yield each

    def _alone(self, index: int, choice: StackChoice) -> None:
        self._try(Cell(stack=choice.label, parameters={}), join_path("stacks", index))

    def _try(self, cell: Cell, place: str) -> None:
        """Plan a run of a cell.

        :param place: the path to name in errors that have no place in the topology.
        """
        there = venue(self.machine).stacks
        run = scenario(self.written, self.networks, self.choices, cell, there)
        found = run.topology
        self._check_devices(run.flows, place)
        if self.machine != SIMULATION:
            _check_engine(found, self.written.value.wire, self.networks.written)
        _check_simulable(self.machine, found, self.networks.written)
        if self.here and not self.written.value.machines:
            self._ask_kernel(found, place)

    def _cells(self) -> Iterator[Cell]:
        """Yield the cells that are tried.

        All cells of a small matrix are tried. In a large matrix, each value of each axis is tried
        with the first values of the other axes.
        """
        parameters = self.written.value.parameters
        if not parameters:
            return
        cells = expand(parameters, self.choices)
        if len(cells) <= _TRIED_WHOLE:
            yield from cells
            return
        for choice in self.choices:
            axes = stack_axes(parameters, choice)
            first = {path: values[0] for path, values in axes.items()}
            for path, values in axes.items():
                for value in values:
                    yield Cell(stack=choice.label, parameters=first | {path: value})

    def _singles(self) -> Iterator[tuple[Cell, str]]:
        """Yield a cell with one value only, for each value of the matrix, and the value's path."""
        parameters = self.written.value.parameters
        for path, values in parameters.items():
            for value in values:
                keys = ("cases", str(value)) if path == CASE else ("matrix", path)
                cells = (Cell(stack=it.label, parameters={path: value}) for it in self.choices)
                cell = next(filter(self._fits, cells), None)
                if cell is not None:
                    yield cell, join_path(*keys)

    def _fits(self, cell: Cell) -> bool:
        """Return whether a stack accepts a cell's options. Errors are reported elsewhere."""
        options = {
            path.removeprefix(STACK_PREFIX): value
            for path, value in cell.parameters.items()
            if path.startswith(STACK_PREFIX)
        }
        choice = next(it for it in self.choices if it.label == cell.stack)
        try:
            choice.replaced(options).check()
        except InputError:
            return False
        return True

    def _check_devices(self, flows: Sequence[PlannedFlow], place: str) -> None:
        """Refuse a device of the kernel in a simulation."""
        if self.machine != SIMULATION:
            return
        for end in (end for planned in flows for end in planned.flow.stack.ends):
            if end.options.get(DEVICE) is not None:
                raise self.written.error(
                    f"{end} cannot be simulated: {DEVICE} names a device of the kernel",
                    place,
                    f"remove {DEVICE}",
                )

    def _ask_kernel(self, topology: Topology, place: str) -> None:
        """Refuse sysctl values, such as schedulers, that this kernel lacks."""
        wanted = ((node.name, *setting) for node in topology.nodes for setting in node.sysctls)
        all_of(*(functools.partial(self._check_part, place, *each) for each in wanted))

    def _check_part(self, place: str, node: str, key: str, value: str) -> None:
        wrong = sysctls.wrong_name(key, value)
        if wrong is None:
            return
        network = self.networks.written
        spec = network.value
        own = spec.nodes.get(node)
        for where, sets in (
            (("nodes", node, "sysctls", key), {} if own is None else own.sysctls),
            (("sysctls", key), spec.sysctls),
        ):
            if str(sets.get(key)) == value:
                raise network.error(wrong.message, join_path(*where), wrong.hint)
        raise self.written.error(wrong.message, place, wrong.hint)


def _check_simulable(machine: str, topology: Topology, written: Document[TopologySpec]) -> None:
    """Refuse features that need a kernel: processes in nodes, devices on others, and qdiscs."""
    if machine != SIMULATION:
        return
    for node in topology.nodes:
        if node.run:
            raise written.error("cannot be simulated", join_path("nodes", node.name, "run"))
        for kind, path in devices_of(node):
            message = f"a simulated network has no {kind}: its frames have no headers"
            raise written.error(message, path, "run it on a kernel: --machine uml:7.3")
    for link in topology.links:
        if link.at_sender:
            message = "simulated links are shaped in the middle: only kernels have qdiscs"
            hint = "run it on a kernel: --machine uml:7.3"
            raise written.error(message, join_path("links", link.name, "shaper"), hint)


def _check_engine(topology: Topology, engine: str, written: Document[TopologySpec]) -> None:
    """Refuse features that the engine for all links lacks."""
    try:
        check_engine(topology, engine)
    except InputError as error:
        raise written.error(error.message, error.path or "", error.hint) from None
