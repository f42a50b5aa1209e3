"""Which subflows the kernel's own path manager will set up, told from the topology alone.

The rules are those of ``net/mptcp/pm_kernel.c`` (``pm_netlink.c`` before Linux 6.15).
"""

from __future__ import annotations

from typing import Final

import msgspec

from testbed.document import nearest
from testbed.errors import InputError
from testbed.topology.forwarding import Forwarding, family_of, host
from testbed.topology.model import Endpoint, EndpointFlag, Family, Limits, Node, Topology

ALLOW_JOIN: Final = "net.mptcp.allow_join_initial_addr_port"
KERNEL_LIMITS: Final = Limits(subflows=2, add_addr_accepted=0)  # of a new namespace


class Subflow(msgspec.Struct, frozen=True):
    """The addresses of one subflow, the client's first.  The first subflow is the initial one."""

    source: str
    destination: str
    port: int | None = None  # announced with the destination; None: the port that was dialled


def address_of(topology: Topology, node: str, family: Family, link: str | None = None) -> str:
    """Return the first address of ``node`` (at ``link``) of a family.  Raises InputError."""
    names = [each.name for each in topology.nodes]
    if node not in names:
        raise InputError(f"there is no node {node!r}", hint=nearest(node, names))
    interfaces = topology.node(node).interfaces
    if link is not None and all(interface.link != link for interface in interfaces):
        hint = nearest(link, [interface.link for interface in interfaces])
        raise InputError(f"{node!r} is not at a link {link!r}", hint=hint)
    for interface in interfaces:
        if link in (None, interface.link):
            for address in interface.addresses:
                if family_of(address) is family:
                    return host(address)
    where = f" at link {link!r}" if link else ""
    raise InputError(f"{node!r} has no {family} address{where}")


def expected_subflows(
    topology: Topology, client: str, server: str, family: Family, address: str | None = None
) -> int:
    """Return how many subflows a connection gets.  See :func:`subflows`."""
    return len(subflows(topology, client, server, family, address))


def subflows(
    topology: Topology, client: str, server: str, family: Family, address: str | None = None
) -> tuple[Subflow, ...]:
    """Return the subflows of a connection from ``client`` to ``server``, in order of creation.

    The client's socket is unbound, the server's listens on all addresses, nothing is lost.  Each
    ADD_ADDR is taken to come after the subflows to the dialled address are begun.  The kernel may
    do it the other way round; where limits are short that changes which subflows there are.

    :param address: the address that is dialled; by default the server's first of ``family``.

    Raises InputError when the server cannot be reached at all.
    """
    dialled = address or address_of(topology, server, family)
    forwarding = Forwarding(topology)
    source = forwarding.source(client, dialled)
    if source is None or not forwarding.connects(source, dialled):
        raise InputError(f"{client!r} has no way to {dialled} of {server!r}")
    manager = _PathManager(
        forwarding, topology.node(client), topology.node(server), Subflow(source, dialled)
    )
    manager.use_subflow_endpoints()
    manager.take_announcements()
    return tuple(manager.subflows)


class _PathManager:
    """The client's path manager, with the server's limit on what it accepts."""

    def __init__(
        self, forwarding: Forwarding, client: Node, server: Node, initial: Subflow
    ) -> None:
        self.subflows = [initial]
        self._unanswered = 0
        self._forwarding = forwarding
        self._client = client
        self._server = server
        self._limits = client.limits or KERNEL_LIMITS
        self._accepted = (server.limits or KERNEL_LIMITS).subflows
        # It sends the C flag (RFC 8684, section 3.1): no join to the address of the first subflow.
        self._denies_joins = dict(server.sysctls).get(ALLOW_JOIN) == "0"

    def use_subflow_endpoints(self) -> None:
        """Connect from every endpoint but the initial one's to the dialled address.

        With only the initial subflow up, a fullmesh endpoint does the same.
        """
        initial = self.subflows[0]
        if self._denies_joins:
            return
        for endpoint in self._endpoints(EndpointFlag.SUBFLOW):
            if self._room > 0 and endpoint.address != initial.source:
                self._connect(endpoint, initial.destination, None)

    def take_announcements(self) -> None:
        """Connect to each address the server announces.

        It announces all but the dialled one, unless with another port.  The client connects from
        every fullmesh endpoint, or else from the one address that routing picks.
        """
        accepted = 0
        for announced in self._announcements():
            if self._room <= 0 or accepted >= self._limits.add_addr_accepted:
                return
            if self._is_connected(announced):
                continue
            family = family_of(announced.address)
            mesh = self._endpoints(EndpointFlag.FULLMESH)
            sources: list[Endpoint | None] = [e for e in mesh if family_of(e.address) is family]
            # Room is counted before connecting: an attempt without a route takes it up as well.
            attempts = (sources or [None])[: self._room]
            begun = [self._connect(one, announced.address, announced.port) for one in attempts]
            accepted += any(begun)

    def _is_connected(self, announced: Endpoint) -> bool:
        return any(
            subflow.destination == announced.address and announced.port in (None, subflow.port)
            for subflow in self.subflows
        )

    @property
    def _room(self) -> int:
        """How many more subflows may be begun; an unanswered SYN keeps its place for minutes."""
        return self._limits.subflows - (len(self.subflows) - 1) - self._unanswered

    def _announcements(self) -> list[Endpoint]:
        dialled = self.subflows[0].destination
        signals = [e for e in self._server.endpoints if EndpointFlag.SIGNAL in e.flags]
        signals = [e for e in signals if e.port is not None or e.address != dialled]
        # The kernel keeps those with a port at the head of its list.
        with_port = [e for e in reversed(signals) if e.port is not None]
        both = with_port + [e for e in signals if e.port is None]
        return [e for e in both if self._matches(e.address)]

    def _endpoints(self, flag: EndpointFlag) -> list[Endpoint]:
        return [e for e in self._client.endpoints if flag in e.flags and self._matches(e.address)]

    def _matches(self, address: str) -> bool:
        """An IPv4 connection has only IPv4 subflows; an IPv6 one may have both."""
        family = family_of(self.subflows[0].destination)
        return family is Family.IPV6 or family_of(address) is Family.IPV4

    def _connect(self, endpoint: Endpoint | None, destination: str, port: int | None) -> bool:
        """Try one subflow.  Return whether a SYN leaves, answered or not."""
        interface = endpoint.interface or None if endpoint else None
        if endpoint is None:
            source = self._forwarding.source(self._client.name, destination)
        else:
            source = endpoint.address
        if source is None or family_of(source) is not family_of(destination):
            return False
        if self._forwarding.hop(self._client.name, destination, source, interface) is None:
            return False
        if not self._forwarding.connects(source, destination, interface):
            self._unanswered += 1
        elif len(self.subflows) - 1 < self._accepted:
            self.subflows.append(Subflow(source, destination, port))
        return True
