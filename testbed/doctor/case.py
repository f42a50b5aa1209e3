"""A client, a server, and what was observed about the network between them."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping

import msgspec

from testbed.prediction import Join, joins
from testbed.sandbox.observation import NamespaceState
from testbed.topology.forwarding import Forwarding, host
from testbed.topology.model import Limits, Node, Topology


class Finding(msgspec.Struct, frozen=True):
    """One thing that stands against a second subflow."""

    cause: str  # stable, for programs
    node: str
    seen: str  # what was observed
    remedy: str  # what to do, as a command where there is one


class Case(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A client, a server, and everything that was observed about their network."""

    topology: Topology  # as observed
    states: Mapping[str, NamespaceState]
    client: str
    server: str
    dialled: str

    @functools.cached_property
    def forwarding(self) -> Forwarding:
        """Looks up routes in the observed network."""
        return Forwarding(self.topology)

    @functools.cached_property
    def source(self) -> str | None:
        """The client's address on the initial subflow."""
        return self.forwarding.source(self.client, self.dialled)

    @functools.cached_property
    def candidates(self) -> tuple[Join, ...]:
        """Every further subflow that the endpoints of both ends ask for."""
        return joins(self.topology, self.client, self.server, self.source, self.dialled)

    def node(self, name: str) -> Node:
        """Return the observed node."""
        return self.topology.node(name)

    def limits(self, node: str) -> Limits:
        """Return a node's limits; zeros where the kernel has no MPTCP."""
        return self.states[node].limits or Limits(subflows=0, add_addr_accepted=0)

    def counters(self, node: str) -> Iterator[tuple[str, Mapping[str, int]]]:
        """Yield the MIB counters of a node, each after whose they are: the kernel's, and ours."""
        yield "", self.states[node].counters
        yield " of our stack", self.states[node].own_counters

    def count(self, node: str, counter: str) -> int:
        """Return a MIB counter (``nstat``) of a node: the kernel's and ours together."""
        return sum(values.get(counter, 0) for _, values in self.counters(node))

    @property
    def serves_by_our_stack(self) -> bool:
        """Whether programs at the server have been asked for MPTCP on our own stack."""
        return "MPTcpExtMPCapableSYNRX" in self.states[self.server].own_counters

    def sysctl(self, node: str, key: str) -> str | None:
        """Return a sysctl of a node, or None where the kernel does not have it."""
        return self.states[node].sysctls.get(key)

    def interface_of(self, node: str, address: str) -> str | None:
        """Return the name of the node's interface, up and with carrier, that has an address."""
        for interface in self.node(node).interfaces:
            if any(host(own) == address for own in interface.addresses):
                return interface.name
        return None

    def has_address(self, node: str, address: str) -> bool:
        """Whether an interface of the node that can send has the address."""
        return self.interface_of(node, address) is not None
