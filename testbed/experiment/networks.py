"""The networks of an experiment's cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from testbed import document, prediction
from testbed.document import Document
from testbed.results.model import Scalar
from testbed.topology.forwarding import Forwarding
from testbed.topology.load import is_shaping, substitute
from testbed.topology.model import Family, Topology
from testbed.topology.resolve import Structure, resolved, structure
from testbed.topology.spec import TopologySpec

_KEPT: Final = 64  # the structure of a large network takes megabytes

Route = tuple[str, tuple[prediction.Subflow, ...]]  # the address to dial, and its subflows
_Ends = tuple[str, str, Family, str | None]


class Routed:
    """A structure, with a cache of the routes that were computed in it."""

    def __init__(self, made: Structure) -> None:
        self.structure = made
        self._routes: dict[_Ends, Route] = {}

    def route(self, source: str, target: str, family: Family, via: str | None) -> Route:
        """Return the address to dial, and the subflows that lead there.

        :param via: the link of the address; by default that of the first address.
        :raises InputError: the target cannot be reached.
        """
        ends = source, target, family, via
        if ends not in self._routes:
            topology, forwarding = self.structure.topology, self.structure.forwarding
            address = prediction.address_of(topology, target, family, via)
            subflows = prediction.subflows(topology, source, target, family, address, forwarding)
            self._routes[ends] = address, subflows
        return self._routes[ends]


class Network:
    """The network of a cell.

    :param routed: its structure, with routes.
    """

    def __init__(self, topology: Topology, routed: Routed) -> None:
        self.topology = topology
        self.forwarding: Forwarding = routed.structure.forwarding
        self.route = routed.route


class Networks:
    """The topologies of all cells.

    Most cells of a matrix differ only in the shaping of links, or have the same network. Cells with
    the same structure share what is derived from it.

    :param written: the topology without values of cells.
    """

    def __init__(self, written: Document[TopologySpec]) -> None:
        self.written = written
        self._known: dict[tuple[object, ...], Routed] = {}

    def network(self, values: Mapping[str, Scalar], family: Family | None) -> Network:
        """Return the network of a cell.

        :param values: the values of the topology to replace, by their paths.
        :param family: the family of MPTCP endpoints, if the topology does not set it.
        :raises InputError: a value is invalid (with file and line), or a path does not exist.
        """
        raw = self.written.raw
        for path, value in values.items():
            raw = substitute(raw, path, value)
        changed = document.convert(raw, TopologySpec, self.written.positions, self.written.name)
        wanted = None if changed.value.mptcp.family else family
        # 1 and True are equal, but not the same to a topology.
        others = ((path, repr(it)) for path, it in values.items() if not is_shaping(path))
        key = wanted, *others

        def structure_of(changed: Document[TopologySpec], spec: TopologySpec) -> Structure:
            if key not in self._known:
                made = Routed(structure(changed, spec, family=wanted))
                if len(self._known) == _KEPT:
                    self._known.clear()
                self._known[key] = made
            return self._known[key].structure

        topology = resolved(changed, structure_of)
        return Network(topology, self._known[key])
