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

_KEPT: Final = 64  # of a large network one takes megabytes

Route = tuple[str, tuple[prediction.Subflow, ...]]  # the address to dial, and what leads there
_Ends = tuple[str, str, Family, str | None]


class Routed:
    """A structure, and the routes in it that somebody has asked for."""

    def __init__(self, made: Structure) -> None:
        self.structure = made
        self._routes: dict[_Ends, Route] = {}

    def route(self, source: str, target: str, family: Family, via: str | None) -> Route:
        """Return the address to dial, and the subflows that lead there.

        :param via: the link of the address; None: that of the first one.
        :raises InputError: it cannot be reached.
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
    """A topology with the values of cells in it.

    The cells of a matrix mostly differ in the shaping of links, or not in the network at all.  What
    follows from the structure of a network is made once for all that share it.

    :param written: the topology without values of cells.
    """

    def __init__(self, written: Document[TopologySpec]) -> None:
        self.written = written
        self._known: dict[tuple[object, ...], Routed] = {}

    def network(self, values: Mapping[str, Scalar], family: Family | None) -> Network:
        """Return the network of a cell.

        :param values: what takes the place of values of the topology, by their paths.
        :param family: that MPTCP endpoints have where the topology does not say.
        :raises InputError: with file and line, or a path that leads nowhere.
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
