"""From what a file says to what the network is: every default decided, every reference checked."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import PurePath

from testbed.document import Document, join_path
from testbed.errors import all_of
from testbed.middlebox.box import Box
from testbed.topology import carried, endpoints, generate, hosts, routes, skeleton, vrfs
from testbed.topology.addresses import Addressing, assign
from testbed.topology.boxes import Boxes, boxes, neighbours
from testbed.topology.devices import Tunnel, Vlan, WireGuard
from testbed.topology.ends import End
from testbed.topology.model import Family, Interface, Kind, Link, Node, Topology
from testbed.topology.shaping import Shaping, shaping
from testbed.topology.skeleton import Skeleton
from testbed.topology.spec import LinkSpec, TopologySpec


def resolve(document: Document[TopologySpec], *, family: Family | None = None) -> Topology:
    """Return the topology a document describes; its name is that of the file.

    :param family: make MPTCP endpoints of this family, whatever the file says.

    Raises InputError with file, line and path.
    """
    spec = generate.expand(document)
    shapings: dict[str, Shaping] = {}

    def shape(name: str, link: LinkSpec) -> None:
        shapings[name] = shaping(document, join_path("links", name), link)

    skeletons: list[Skeleton] = []
    guarded: list[Boxes] = []
    all_of(
        lambda: skeletons.append(skeleton.build(document, spec)),
        lambda: hosts.check_sysctls(document, spec),
        lambda: guarded.append(boxes(document, spec.links)),
        *(functools.partial(shape, *link) for link in spec.links.items()),
    )
    (bones,), (middleboxes,) = skeletons, guarded
    routes.check_size(bones)
    addressing = assign(bones)
    interfaces = _interfaces(bones, addressing)
    ipv4 = routes.Router(bones, addressing, Family.IPV4)
    routers = [ipv4, routes.Router(bones, addressing, Family.IPV6, like=ipv4)]
    wanted = endpoints.families(bones, addressing, family)
    nodes: list[Node] = []
    links: list[Link] = []

    def add_node(name: str, kind: Kind) -> None:
        nodes.append(
            _switch(bones, name, interfaces)
            if kind is Kind.SWITCH
            else _node(bones, addressing, routers, name, interfaces, wanted, middleboxes)
        )

    def add_link(name: str, spec: LinkSpec) -> None:
        a, b = (interfaces[end] for end in bones.links[name])
        links.append(_link(name, spec, a, b, shapings[name], middleboxes.get(name, ())))

    all_of(
        *(functools.partial(add_node, name, spec.kind) for name, spec in bones.nodes.items()),
        *(functools.partial(add_link, name, spec) for name, spec in bones.spec.links.items()),
    )
    found = Topology(name=PurePath(document.name).stem, nodes=tuple(nodes), links=tuple(links))
    carried.check(bones, found)
    return found


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


def _link(
    name: str,
    spec: LinkSpec,
    a: Interface,
    b: Interface,
    shape: Shaping,
    middlebox: tuple[Box, ...],
) -> Link:
    return Link(
        name=name,
        a=a,
        b=b,
        mtu=spec.mtu,
        wire=isinstance(spec.netem, str | dict) or bool(spec.toward) or bool(middlebox),
        toward_a=shape.toward.get(a.node, shape.both),
        toward_b=shape.toward.get(b.node, shape.both),
        offload=spec.offload,
        half_duplex=spec.duplex == "half",
        middlebox=middlebox,
    )
