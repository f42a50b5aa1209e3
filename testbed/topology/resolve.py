"""The resolution of a topology file: every default is decided, every reference checked."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import PurePath

import msgspec

from testbed.document import Document
from testbed.errors import all_of
from testbed.middlebox.box import Box
from testbed.topology import carried, endpoints, generate, hosts, routes, skeleton, vrfs
from testbed.topology.addresses import Addressing, assign
from testbed.topology.boxes import Boxes, boxes, neighbours
from testbed.topology.devices import Tunnel, Vlan, WireGuard
from testbed.topology.ends import End
from testbed.topology.forwarding import Forwarding
from testbed.topology.model import Family, Interface, Kind, Link, Node, Topology
from testbed.topology.shaping import Shaping, shapings
from testbed.topology.skeleton import Skeleton
from testbed.topology.spec import LinkSpec, TopologySpec


class Structure(msgspec.Struct, frozen=True, eq=False):
    """A network without the shaping of its links, which :meth:`shaped` adds.

    Networks that differ only in the shaping of links have the same structure.

    :param topology: the topology without shaping.
    :param forwarding: the forwarding of the topology, and of each one with shaping.
    """

    topology: Topology
    forwarding: Forwarding

    def shaped(self, shapings: Mapping[str, Shaping]) -> Topology:
        """Return the topology with its links shaped.

        :param shapings: the shaping of each link, by name.
        """
        links = tuple(_shaped(link, shapings[link.name]) for link in self.topology.links)
        return Topology(name=self.topology.name, nodes=self.topology.nodes, links=links)


def _shaped(link: Link, shape: Shaping) -> Link:
    return msgspec.structs.replace(
        link,
        wire=shape.asked or bool(link.middlebox),
        toward_a=shape.toward.get(link.a.node, shape.both),
        toward_b=shape.toward.get(link.b.node, shape.both),
    )


def resolve(document: Document[TopologySpec], *, family: Family | None = None) -> Topology:
    """Return the topology of a document, with the name of the file.

    :param family: the family of MPTCP endpoints, which overrides that of the file.

    Raises InputError with file, line and path.
    """
    return resolved(document, functools.partial(structure, family=family))


def resolved(
    document: Document[TopologySpec],
    structure_of: Callable[[Document[TopologySpec], TopologySpec], Structure],
) -> Topology:
    """Return the topology of a document.

    :param structure_of: :func:`structure`, or a function that returns the structure of a document
        that differs only in the shaping of links.
    """
    spec = generate.expand(document)
    structures: list[Structure] = []
    shaped: list[dict[str, Shaping]] = []
    all_of(
        lambda: structures.append(structure_of(document, spec)),
        lambda: shaped.append(shapings(document, spec)),
    )
    return structures[0].shaped(shaped[0])


def structure(
    document: Document[TopologySpec], spec: TopologySpec, *, family: Family | None = None
) -> Structure:
    """Return the structure of the network in a document; see :func:`resolve`.

    :param spec: the value of the document, with the results of its generators.
    """
    skeletons: list[Skeleton] = []
    guarded: list[Boxes] = []
    all_of(
        lambda: skeletons.append(skeleton.build(document, spec)),
        lambda: hosts.check_sysctls(document, spec),
        lambda: guarded.append(boxes(document, spec.links)),
    )
    (bones,), (middleboxes,) = skeletons, guarded
    routes.check_size(bones)
    addressing = assign(bones)
    interfaces = _interfaces(bones, addressing)
    ipv4 = routes.Router(bones, addressing, Family.IPV4)
    routers = [ipv4, routes.Router(bones, addressing, Family.IPV6, like=ipv4)]
    wanted = endpoints.families(bones, addressing, family)

    def make_node(name: str, kind: Kind) -> Node:
        if kind is Kind.SWITCH:
            return _switch(bones, name, interfaces)
        return _node(bones, addressing, routers, name, interfaces, wanted, middleboxes)

    nodes = all_of(
        *(functools.partial(make_node, name, it.kind) for name, it in bones.nodes.items())
    )
    links = tuple(
        _link(name, it, *_pair(interfaces, bones.links[name]), middleboxes.get(name, ()))
        for name, it in spec.links.items()
    )
    found = Topology(name=PurePath(document.name).stem, nodes=tuple(nodes), links=links)
    carried.check(bones, found)
    return Structure(found, Forwarding(found))


def _interfaces(bones: Skeleton, addressing: Addressing) -> dict[End, Interface]:
    devices = carried.devices(bones, addressing)
    cards = {
        address.host: end.mtu
        for ends in bones.ends.values()
        for end in ends
        if end.tunnel is None
        for address in addressing.of.get(end, ())
    }
    return {
        end: Interface(
            node=end.node,
            name=end.name,
            link=end.link,
            mac=end.mac,
            mtu=_mtu(end, devices.get(end), cards),
            addresses=tuple(address.text for address in addressing.of.get(end, ())),
            device=devices.get(end),
            vrf=end.vrf,
        )
        for ends in bones.ends.values()
        for end in ends
    }


def _mtu(end: End, device: Vlan | Tunnel | None, cards: Mapping[str, int]) -> int:
    return (
        end.mtu if device is None or isinstance(device, Vlan) else carried.mtu(end, device, cards)
    )


def _switch(bones: Skeleton, name: str, interfaces: Mapping[End, Interface]) -> Node:
    ports = tuple(interfaces[end] for end in bones.ends[name])
    return Node(name=name, kind=Kind.SWITCH, interfaces=ports)


def _node(
    bones: Skeleton,
    addressing: Addressing,
    routers: list[routes.Router],
    name: str,
    interfaces: Mapping[End, Interface],
    wanted: list[Family],
    middleboxes: Boxes,
) -> Node:
    known = hosts.neighbours(bones, addressing, name)
    translated = neighbours(middleboxes, bones.links, name)
    own = tuple(interfaces[end] for end in bones.ends[name])
    marked = [it.device for it in own if isinstance(it.device, WireGuard) and it.device.mark]
    rules, table = routes.node_routes(bones, addressing, routers, name, marked)
    return Node(
        name=name,
        kind=bones.nodes[name].kind,
        interfaces=own,
        rules=rules,
        routes=table,
        neighbours=tuple(dict.fromkeys((*known, *translated))),
        sysctls=hosts.sysctls(bones, addressing, name),
        limits=endpoints.limits(bones, name),
        endpoints=endpoints.endpoints(bones, addressing, name, wanted),
        run=tuple(map(_command, bones.nodes[name].run)),
        vrfs=vrfs.devices(bones.nodes[name]),
    )


def _command(written: str | list[str]) -> tuple[str, ...]:
    return ("sh", "-c", written) if isinstance(written, str) else tuple(written)


def _pair(
    interfaces: Mapping[End, Interface], ends: tuple[End, End]
) -> tuple[Interface, Interface]:
    a, b = ends
    return interfaces[a], interfaces[b]


def _link(
    name: str, spec: LinkSpec, a: Interface, b: Interface, middlebox: tuple[Box, ...]
) -> Link:
    return Link(
        name=name,
        a=a,
        b=b,
        mtu=spec.mtu,
        wire=bool(middlebox),
        offload=spec.offload,
        half_duplex=spec.duplex == "half",
        at_sender=spec.shaper == "sender",
        middlebox=middlebox,
    )
