"""A topology on a virtual clock, made from the same values as a sandbox."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

from testbed.document import join_path
from testbed.errors import InputError
from testbed.middlebox.base import Middlebox
from testbed.middlebox.kinds import boxes
from testbed.pcapng import ETHERNET, PcapngWriter
from testbed.prediction import path_endpoint
from testbed.sidefile import SideFile
from testbed.sim.boxes import GuardedLink
from testbed.sim.bridge import Bridge, bridge_tables
from testbed.sim.channel import UNSHAPED, Channel
from testbed.sim.digest import Digest
from testbed.sim.frame import Frame
from testbed.sim.frames import mac_octets, octets_of
from testbed.sim.host import EndpointFactory, Host, Stacks
from testbed.sim.ip import Ip
from testbed.sim.loop import VirtualLoop
from testbed.sim.state import NetworkState
from testbed.topology.carried import devices_of
from testbed.topology.forwarding import Forwarding, Hop, forwards, host
from testbed.topology.model import Family, Interface, Kind, Link, Node, Topology
from testbed.topology.operations import (
    AddEndpoint,
    AnyOperation,
    BeginTraces,
    ChangeEndpoint,
    RemoveEndpoint,
    SetWire,
)
from testbed.topology.plan import wire_seed
from testbed.wire.medium import Medium
from testbed.wire.netem import Netem
from testbed.wire.report import Wire, WireReport

ENGINE: Final = "simulator"  # the engine of the links in a WireReport

_IPV4: Final = b"\x08\x00"  # EtherTypes
_IPV6: Final = b"\x86\xdd"

Place = tuple[str, str]  # an interface: node and name


class Way(NamedTuple):
    """A route by ``channel``, in frames with this Ethernet header."""

    channel: Channel
    ethernet: bytes


class Network:
    """Hosts, routers, switches and links.

    :param endpoint_of: creates the endpoint of each node.
    :param seed: the seed of all random numbers. Equal seeds give equal packets at equal times.
    :raises InputError: a wire's trace cannot be used, or there are VLANs, tunnels or VRFs.
    """

    def __init__(
        self, topology: Topology, endpoint_of: EndpointFactory, *, loop: VirtualLoop, seed: int = 0
    ) -> None:
        for kind, path in (each for node in topology.nodes for each in devices_of(node)):
            raise InputError(f"a simulated network has no {kind}", path=path)
        for link in topology.links:
            if link.at_sender:
                path = join_path("links", link.name, "shaper")
                raise InputError("a simulated network has no shaper at the sender", path=path)
        self._agenda = loop.agenda
        self._state = NetworkState(topology)
        self._links = {link.name: link for link in topology.links}
        self._channels: dict[tuple[str, str], Channel] = {}  # (link, toward)
        self._away: dict[Place, Channel] = {}  # the channel from each interface
        self._guarded: dict[str, GuardedLink] = {}  # links with middleboxes
        self._bridges = {
            name: Bridge(table, self._away) for name, table in bridge_tables(topology).items()
        }
        self._ips: dict[str, Ip] = {}
        self._seed = seed
        self._stacks: dict[str, Stacks] = {}
        self._forwarding = Forwarding(topology)
        for node in topology.nodes:
            if node.kind is Kind.SWITCH:
                continue
            upper = self._stacks[node.name] = Stacks()
            passed_on = [family for family in Family if forwards(node, family)]
            self._ips[node.name] = Ip(node.name, self, upper, forwards=passed_on)
            self._add_stack(node, endpoint_of, Random(f"{seed} {node.name}"))
        for link in topology.links:
            self._connect(link, seed)
        self._configure()

    @property
    def hosts(self) -> Mapping[str, Host]:
        """The first stack of each node."""
        return {name: stacks.all[0] for name, stacks in self._stacks.items()}

    def stacks(self, node: str) -> Sequence[Host]:
        """Return all stacks of a node, the first one first."""
        return self._stacks[node].all

    def stack(self, node: str, number: int, endpoint_of: EndpointFactory) -> Host:
        """Return a stack of a node, which is created on first use.

        :param number: 0 for the first one; at most the number of existing stacks.
        """
        stacks = self._stacks[node].all
        if number == len(stacks):
            random = Random(f"{self._seed} {node} {number}")
            found = self._state.topology().node(node)
            self._add_stack(found, endpoint_of, random)
        return stacks[number]

    def ways(self, node: str, source: str, destination: str) -> tuple[Way, ...]:
        """Return the routes of a packet at a node, by the rules and routes of the kernel."""
        hops = self._forwarding.hops(node, destination, source or None)
        ways = (self._way(hop, destination) for hop in hops)
        return tuple(way for way in ways if way is not None)

    def _way(self, hop: Hop, destination: str) -> Way | None:
        near = hop.interface
        neighbour = self._forwarding.neighbour(hop) or self._answering(near)
        if neighbour is None:
            return None
        addresses = mac_octets(neighbour.mac) + mac_octets(near.mac)
        kind = _IPV6 if ":" in destination else _IPV4
        return Way(self._away[near.node, near.name], addresses + kind)

    def execute(self, operations: Sequence[AnyOperation]) -> None:
        """Change the running network.

        :raises InputError: a wire cannot take an option.
        :raises SimulationError: the operation cannot be applied to a running network.
        """
        now = self._agenda.now
        for operation in operations:
            if isinstance(operation, SetWire):
                channel = self._channels[operation.link, operation.toward]
                channel.change(operation.options, now)
            elif isinstance(operation, BeginTraces):
                for each in self._channels.values():
                    each.begin_traces(now)
            else:
                self._state.apply(operation)
        self._configure()
        for operation in operations:
            if isinstance(operation, AddEndpoint | ChangeEndpoint | RemoveEndpoint):
                node = self._state.topology().node(operation.namespace)
                self._stacks[node.name].endpoints_are(list(map(path_endpoint, node.endpoints)))

    def wires(self) -> WireReport:
        """Return the state of each direction of each wire."""
        return WireReport(
            wires=tuple(
                Wire(
                    link=link,
                    toward=toward,
                    engine=ENGINE,
                    netem=channel.netem,
                    in_force=channel.in_force,
                    counters=channel.counters(),
                )
                for (link, toward), channel in self._channels.items()
                if self._links[link].wire
            ),
            boxes={
                link: guarded.work([box.kind for box in self._links[link].middlebox])
                for link, guarded in self._guarded.items()
                if self._links[link].middlebox
            },
        )

    def node_at(self, link: str, end: str) -> str:
        """Return the node at the end ``a`` or ``b`` of a link."""
        found = self._links[link]
        return found.a.node if end == "a" else found.b.node

    def insert_boxes(self) -> None:
        """Insert the middleboxes of the topology into the links."""
        for link in self._links.values():
            if link.middlebox:
                seed = f"{self._seed} {link.name}"
                ends = link.a.node, link.b.node
                self.insert(link.name, *boxes(link.middlebox, ends, link.mtu, seed, Random))

    def insert(self, link: str, *boxes: Middlebox) -> None:
        """Insert middleboxes into a link, the first one nearest to its end ``a``."""
        ends = {toward: self._channels[link, toward] for toward in "ab"}
        guarded = GuardedLink(boxes, ends, self._agenda)
        for toward, channel in ends.items():
            channel.through = functools.partial(guarded.enter, toward)
        self._guarded[link] = guarded

    def capture(self, node: str, interface: str, path: Path) -> PcapngWriter:
        """Record all frames of an interface. The caller must close the result.

        :raises InputError: the file cannot be opened.
        """
        writer = PcapngWriter(SideFile(path), [interface], ETHERNET)

        def record(frame: Frame, now: int) -> None:
            writer.record(octets_of(frame), now)

        found = self._state.topology().node(node).interface(interface)
        link = self._links[found.link]
        near, far = ("a", "b") if (link.a.node, link.a.name) == (node, interface) else ("b", "a")
        self._channels[link.name, far].taps_in.append(record)
        self._channels[link.name, near].taps_out.append(record)
        return writer

    def digest(self) -> Digest:
        """Return a digest of all later packets. It costs more than the simulation."""
        found = Digest()
        for (link, toward), channel in self._channels.items():
            found.watch(link, toward, channel)
        return found

    def _add_stack(self, node: Node, endpoint_of: EndpointFactory, random: Random) -> None:
        stacks = self._stacks[node.name]
        stack = Host(
            self._agenda,
            node,
            endpoint_of,
            random,
            send=self._ips[node.name].send,
            source_of=functools.partial(self._source, node.name),
            stacks=stacks,
        )
        stacks.all.append(stack)

    def _source(self, node: str, destination: str) -> str | None:
        return self._forwarding.source(node, destination)

    def _connect(self, link: Link, seed: int) -> None:
        toward_a, toward_b = Medium().sides() if link.half_duplex else (None, None)
        for toward, near, far, netem, side in (
            ("b", link.a, link.b, link.toward_b, toward_b),
            ("a", link.b, link.a, link.toward_a, toward_a),
        ):
            station = self._bridges.get(far.node) or self._ips[far.node]
            channel = Channel(
                self._agenda,
                _shaping(link, netem),
                mtu=link.mtu,
                # Seeds depend on names: a new link does not change those of other links.
                seed=f"{seed} {link.name} {toward}",
                wire_seed=wire_seed(seed, link.name),
                side=side,
                offload=link.offload,
                arrive=station.arrive,
            )
            self._channels[link.name, toward] = self._away[near.node, near.name] = channel

    def _configure(self) -> None:
        """Update all nodes after a change of the network."""
        topology = self._state.topology()
        self._forwarding = Forwarding(topology)
        for (link, _), channel in self._channels.items():
            channel.up = self._state.has_carrier(link)
        for node in topology.nodes:
            ip = self._ips.get(node.name)
            if ip is None:
                continue
            ip.configure([host(a) for each in node.interfaces for a in each.addresses])
            there, silent = self._state.addresses(node.name)
            self._stacks[node.name].addresses_are(there, silent)

    def _answering(self, near: Interface) -> Interface | None:
        """Return the interface that answers for an address that a middlebox may translate."""
        link = self._links[near.link]
        if link.name not in self._guarded:
            return None
        return link.b if (link.a.node, link.a.name) == (near.node, near.name) else link.a


def _shaping(link: Link, netem: Netem) -> Netem:
    """Return the shaping of a direction. A link with only middleboxes is not shaped."""
    shaped = link.wire and not (link.middlebox and netem == Netem())
    return netem if shaped else UNSHAPED
