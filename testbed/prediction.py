"""Prediction of the subflows that the kernel's path manager creates, from the topology alone.

The rules are those of :class:`~testbed.stack.mptcp.path_manager.kernel_like.KernelLike`, which our
own stack uses too. This module runs the managers of both ends. The routes of the topology decide
which of the requested joins succeed. The module imports both the topology and the stack, which do
not import each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import msgspec

from testbed.errors import InputError
from testbed.hints import nearest
from testbed.packet.address import Address
from testbed.stack.mptcp.path_manager.base import (
    Announce,
    Command,
    OpenSubflow,
    PathEndpoint,
    PathLimits,
    RemoteAddress,
    SubflowPath,
)
from testbed.stack.mptcp.path_manager.kernel_like import KernelLike
from testbed.topology.forwarding import Forwarding, family_of, host
from testbed.topology.model import (
    KERNEL_LIMITS,
    Endpoint,
    EndpointFlag,
    Family,
    Node,
    Topology,
)

ALLOW_JOIN: Final = "net.mptcp.allow_join_initial_addr_port"
_DIALLED: Final = 0  # a placeholder for the dialled port
_IMPLICIT: Final = 0x100  # the id of an address that is no endpoint; ids of the kernel are octets
_UNLIMITED: Final = PathLimits(subflows=1 << 16, add_addr_accepted=1 << 16)


class Subflow(msgspec.Struct, frozen=True):
    """The addresses of one subflow, the client's first.  The first subflow is the initial one."""

    source: str
    destination: str
    port: int | None = None  # announced with the destination, or None for the dialled port


class Join(msgspec.Struct, frozen=True, kw_only=True):
    """A further subflow that an endpoint requests.

    :param endpoint: an endpoint of the client, or the announced endpoint of the server.
    :param owner: the node that owns the endpoint.
    :param source: the client's address, or None if routing should choose it but there is no route.
    :param bound: the client's interface that its socket is bound to; empty if unbound.
    """

    endpoint: Endpoint
    owner: str
    source: str | None
    destination: str
    port: int | None = None
    bound: str = ""


def address_of(topology: Topology, node: str, family: Family, link: str | None = None) -> str:
    """Return the first address of ``node`` (at ``link``) of a family.  Raises InputError."""
    names = [each.name for each in topology.nodes]
    if node not in names:
        raise InputError(f"there is no node {node!r}", hint=nearest(node, names))
    interfaces = topology.node(node).interfaces
    if link is not None and all(interface.link != link for interface in interfaces):
        hint = nearest(link, [interface.link for interface in interfaces])
        raise InputError(f"{node!r} is not an end of a link {link!r}", hint=hint)
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
    topology: Topology,
    client: str,
    server: str,
    family: Family,
    address: str | None = None,
    forwarding: Forwarding | None = None,
) -> tuple[Subflow, ...]:
    """Return the subflows of a connection from ``client`` to ``server``, in order of creation.

    Assumptions: the client's socket is unbound, the server's socket listens on all addresses, no
    packet is lost. Each ADD_ADDR arrives after the client has started the subflows to the dialled
    address. In the kernel the order may be the reverse. If limits are low, the order changes which
    subflows exist.

    :param address: the dialled address; by default the server's first address of ``family``.
    :param forwarding: the forwarding of the topology, if it exists already.

    Raises InputError if the server cannot be reached.
    """
    dialled = address or address_of(topology, server, family)
    forwarding = forwarding or Forwarding(topology)
    source = forwarding.source(client, dialled)
    if source is None or not forwarding.connects(source, dialled):
        raise InputError(f"{client!r} has no route to {dialled} of {server!r}")
    ends = _ends(forwarding, topology.node(client), topology.node(server), source, dialled)
    if dict(ends[1].node.sysctls).get(ALLOW_JOIN) == "0":
        ends[0].deny_joins()
    attempts = _Attempts(forwarding, *ends)
    at_once = [
        one for one in ends[0].endpoints if attempts.leaves(one.address, dialled, one.interface)
    ]
    _negotiate(*ends, path_limits(ends[0].node), at_once, attempts.begin)
    return tuple(attempts.made)


def joins(
    topology: Topology, client: str, server: str, source: str | None, dialled: str
) -> tuple[Join, ...]:
    """Return the further subflows that the endpoints of both ends request.

    Limits, the C flag and reachability are ignored.

    :param source: the client's address on the initial subflow, or None without a route to
        ``dialled``.
    """
    found: list[Join] = []

    def attempt(join: Join) -> bool:
        found.append(join)
        return True

    ends = _ends(
        Forwarding(topology), topology.node(client), topology.node(server), source or "", dialled
    )
    for end in ends:
        end.pretend_addresses()
    _negotiate(*ends, _UNLIMITED, ends[0].endpoints, attempt)
    return tuple(found)


def path_endpoint(endpoint: Endpoint) -> PathEndpoint:
    """Return an endpoint of a topology in the form that path managers use."""
    flags = {flag.value: flag in endpoint.flags for flag in EndpointFlag}
    return PathEndpoint(host=endpoint.address, id=endpoint.id, port=endpoint.port, **flags)


def path_limits(node: Node) -> PathLimits:
    """Return the limits of a node in the form that path managers use."""
    limits = node.limits or KERNEL_LIMITS
    return PathLimits(subflows=limits.subflows, add_addr_accepted=limits.add_addr_accepted)


class _End:
    """The view of one end's path manager on the connection."""

    def __init__(
        self, forwarding: Forwarding, node: Node, initial: SubflowPath, *, initiator: bool
    ) -> None:
        self.node = node
        self.initial = initial
        self.initiator = initiator
        self.join_initial_denied = False
        self.open_paths = [initial]
        self.remotes = [RemoteAddress(0, initial.remote)]
        self.local_hosts = [host(a) for each in node.interfaces for a in each.addresses]
        self._forwarding = forwarding

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The endpoints in the kernel's order: endpoints with a port are at the head."""
        with_port = [one for one in self.node.endpoints if one.port is not None]
        return (*reversed(with_port), *(one for one in self.node.endpoints if one.port is None))

    def pretend_addresses(self) -> None:
        """Assume that the address of each endpoint exists."""
        self.local_hosts += [one.address for one in self.endpoints]

    def deny_joins(self) -> None:
        """Record that the peer accepts no joins to its initial address (C flag, section 3.1)."""
        self.join_initial_denied = True

    def opened(self, join: Join) -> None:
        """Record a subflow that has been started."""
        remote = Address(join.destination, join.port or _DIALLED)
        local = join.source or ""
        number = self.local_id(local)
        self.open_paths.append(
            SubflowPath(local_host=local, local_id=number, remote=remote, remote_id=0)
        )

    def heard_of(self, remote: RemoteAddress) -> None:
        """Record an address that the peer announces."""
        self.remotes.append(remote)

    def local_id(self, local_host: str) -> int:
        """Return the id of a local address."""
        if local_host == self.initial.local_host:
            return 0
        own = (each.id for each in self.node.endpoints if each.address == local_host)
        return next(own, _IMPLICIT)

    def source_for(self, remote_host: str) -> str | None:
        """Return the address that routing chooses."""
        return self._forwarding.source(self.node.name, remote_host)


def _ends(
    forwarding: Forwarding, client: Node, server: Node, source: str, dialled: str
) -> tuple[_End, _End]:
    here, there = Address(source, _DIALLED), Address(dialled, _DIALLED)
    out = SubflowPath(local_host=source, local_id=0, remote=there, remote_id=0)
    back = SubflowPath(local_host=dialled, local_id=0, remote=here, remote_id=0)
    return (
        _End(forwarding, client, out, initiator=True),
        _End(forwarding, server, back, initiator=False),
    )


def _negotiate(
    client: _End,
    server: _End,
    limits: PathLimits,
    at_once: Sequence[Endpoint],
    attempt: Callable[[Join], bool],
) -> None:
    """Run both path managers for the start of the connection.

    :param limits: the limits of the client.
    :param at_once: the client's endpoints that may open subflows to the dialled address.
    :param attempt: starts a subflow, and returns whether a SYN is sent.
    """
    opening = KernelLike(list(map(path_endpoint, at_once)), limits)
    for join in _opened(opening.established(client), client, client.node.name):
        attempt(join)
    manager = KernelLike(list(map(path_endpoint, client.endpoints)), limits)
    peer = KernelLike(list(map(path_endpoint, server.endpoints)), path_limits(server.node))
    for command in peer.established(server):
        if not isinstance(command, Announce):
            continue  # the client has no listener for subflows that the server opens
        remote = RemoteAddress(command.id, Address(command.host, command.port or _DIALLED))
        client.heard_of(remote)
        announced = next(one for one in server.endpoints if one.id == command.id)
        name = server.node.name
        wanted = list(_opened(manager.announced(client, remote), client, name, announced))
        if not wanted and client.source_for(command.host) is None:
            wanted = [Join(endpoint=announced, owner=name, source=None, destination=command.host)]
        begun = [attempt(join) for join in wanted]
        if not any(begun):
            manager.withdrawn(client, remote)  # the address does not count as accepted


def _opened(
    commands: Iterable[Command], client: _End, owner: str, announced: Endpoint | None = None
) -> Iterator[Join]:
    """Yield the joins among the commands of the client's manager."""
    for command in commands:
        if not isinstance(command, OpenSubflow):
            continue
        own = next((e for e in client.endpoints if e.address == command.local_host), None)
        asks = announced or own
        if asks is not None:
            yield Join(
                endpoint=asks,
                owner=owner,
                source=command.local_host,
                destination=command.remote.address.host,
                port=command.remote.address.port or None,
                bound=own.interface if own and EndpointFlag.SUBFLOW in own.flags else "",
            )


class _Attempts:
    """The outcome of the joins that the client requests."""

    def __init__(self, forwarding: Forwarding, client: _End, server: _End) -> None:
        initial = client.initial
        self.made = [Subflow(initial.local_host, initial.remote.host)]
        self._forwarding = forwarding
        self._client = client
        self._accepted = path_limits(server.node).subflows

    def leaves(self, source: str, destination: str, bound: str) -> bool:
        """Return whether a SYN has a route."""
        if family_of(source) is not family_of(destination):
            return False
        node = self._client.node.name
        return self._forwarding.hop(node, destination, source, bound or None) is not None

    def begin(self, join: Join) -> bool:
        """Try one subflow; return whether a SYN is sent. Without an answer it still counts."""
        source = join.source
        if source is None or not self.leaves(source, join.destination, join.bound):
            return False
        answered = self._forwarding.connects(source, join.destination, join.bound or None)
        if not answered or len(self.made) <= self._accepted:  # a refused subflow closes at once
            self._client.opened(join)
        if answered and len(self.made) <= self._accepted:
            self.made.append(Subflow(source, join.destination, join.port))
        return True
