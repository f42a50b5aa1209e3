"""A client, a server, and the observed state of the network between them."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping

import msgspec

from testbed.prediction import Join, joins
from testbed.sandbox.observation import NamespaceState
from testbed.topology.forwarding import Forwarding, host
from testbed.topology.model import Limits, Node, Topology


class Finding(msgspec.Struct, frozen=True):
    """One obstacle to a second subflow."""

    cause: str  # a stable identifier, for programs
    node: str
    seen: str  # the observation
    remedy: str  # the remedy, as a command if one exists


class Case(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A client, a server, and the complete observed state of their network."""

    topology: Topology  # the observed one
    states: Mapping[str, NamespaceState]
    client: str
    server: str
    dialled: str

    @functools.cached_property
    def forwarding(self) -> Forwarding:
        """The route look-up in the observed network."""
        return Forwarding(self.topology)

    @functools.cached_property
    def source(self) -> str | None:
        """The client's address on the initial subflow."""
        return self.forwarding.source(self.client, self.dialled)

    @functools.cached_property
    def candidates(self) -> tuple[Join, ...]:
        """Every further subflow that the endpoints of both ends request."""
        return joins(self.topology, self.client, self.server, self.source, self.dialled)

    def node(self, name: str) -> Node:
        """Return the observed node."""
        return self.topology.node(name)

    def limits(self, node: str) -> Limits:
        """Return a node's limits, zeros if the kernel has no MPTCP."""
        return self.states[node].limits or Limits(subflows=0, add_addr_accepted=0)

    def counters(self, node: str) -> Iterator[tuple[str, Mapping[str, int]]]:
        """Yield pairs of owner and MIB counters of a node: those of the kernel and of our stack."""
        yield "", self.states[node].counters
        yield " of our stack", self.states[node].own_counters

    def count(self, node: str, counter: str) -> int:
        """Return a MIB counter (``nstat``) of a node: the sum of the kernel's and our stack's."""
        return sum(values.get(counter, 0) for _, values in self.counters(node))

    @property
    def serves_by_our_stack(self) -> bool:
        """Whether programs on our own stack at the server have received a request for MPTCP."""
        return "MPTcpExtMPCapableSYNRX" in self.states[self.server].own_counters

    def sysctl(self, node: str, key: str) -> str | None:
        """Return a sysctl of a node, or None if the kernel does not have it."""
        return self.states[node].sysctls.get(key)

    def interface_of(self, node: str, address: str) -> str | None:
        """Return the name of the node's interface (up, with carrier) that has an address."""
        for interface in self.node(node).interfaces:
            if any(host(own) == address for own in interface.addresses):
                return interface.name
        return None

    def has_address(self, node: str, address: str) -> bool:
        """Return whether an interface of the node (up, with carrier) has the address."""
        return self.interface_of(node, address) is not None
