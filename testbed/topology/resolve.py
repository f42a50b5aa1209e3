"""From what a file says to what the network is: every default decided, every reference checked."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import PurePath

from testbed.document import Document, join_path
from testbed.errors import InputError, all_of
from testbed.topology import endpoints, generate, hosts, routes, skeleton
from testbed.topology.addresses import Addressing, assign
from testbed.topology.model import Box, Family, Interface, Kind, Link, Node, Topology
from testbed.topology.skeleton import End, Skeleton
from testbed.topology.spec import BoxSpec, LinkSpec, NetemSpec, TopologySpec
from testbed.wire import grammar
from testbed.wire.netem import Netem


def resolve(document: Document[TopologySpec], *, family: Family | None = None) -> Topology:
    """Return the topology a document describes; its name is that of the file.

    :param family: make MPTCP endpoints of this family, whatever the file says.

    Raises InputError with file, line and path.
    """
    bones = skeleton.build(document, generate.expand(document))
    routes.check_size(bones)
    addressing = assign(bones)
    interfaces = {end: _interface(end, addressing) for pair in bones.links.values() for end in pair}
    routers = [routes.Router(bones, addressing, each) for each in Family]
    wanted = endpoints.families(bones, addressing, family)
    nodes: list[Node] = []
    links: list[Link] = []

    def add_node(name: str, kind: Kind) -> None:
        nodes.append(
            _switch(bones, name, interfaces)
            if kind is Kind.SWITCH
            else _node(bones, addressing, routers, name, interfaces, wanted)
        )

    def add_link(name: str, spec: LinkSpec) -> None:
        links.append(_link(bones, name, spec, interfaces))

    all_of(
        *(functools.partial(add_node, name, spec.kind) for name, spec in bones.nodes.items()),
        *(functools.partial(add_link, name, spec) for name, spec in bones.spec.links.items()),
    )
    return Topology(name=PurePath(document.name).stem, nodes=tuple(nodes), links=tuple(links))


def _interface(end: End, addressing: Addressing) -> Interface:
    return Interface(
        node=end.node,
        name=end.name,
        link=end.link,
        mac=end.mac,
        mtu=end.mtu,
        addresses=tuple(address.text for address in addressing.of.get(end, ())),
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
) -> Node:
    rules, table = routes.node_routes(bones, addressing, routers, name)
    return Node(
        name=name,
        kind=bones.nodes[name].kind,
        interfaces=tuple(interfaces[end] for end in bones.ends[name]),
        rules=rules,
        routes=table,
        neighbours=hosts.neighbours(bones, addressing, name),
        sysctls=hosts.sysctls(bones, addressing, name),
        limits=endpoints.limits(bones, name),
        endpoints=endpoints.endpoints(bones, addressing, name, wanted),
    )


def _link(bones: Skeleton, name: str, spec: LinkSpec, interfaces: Mapping[End, Interface]) -> Link:
    a, b = bones.links[name]
    path = join_path("links", name)
    wire = isinstance(spec.netem, str | dict) or bool(spec.toward)
    shared = Netem()
    if isinstance(spec.netem, str | dict):
        shared = _shaped(bones, Netem(), spec.netem, f"{path}.netem")
    toward = {
        node: _shaped(bones, shared, options, join_path("links", name, "toward", node))
        for node, options in spec.toward.items()
    }
    return Link(
        name=name,
        a=interfaces[a],
        b=interfaces[b],
        mtu=spec.mtu,
        wire=wire,
        toward_a=toward.get(a.node, shared),
        toward_b=toward.get(b.node, shared),
        offload=spec.offload,
        middlebox=tuple(map(_box, _listed(spec.middlebox))),
    )


def _listed(written: str | list[BoxSpec] | None) -> list[BoxSpec]:
    return [written] if isinstance(written, str) else written or []


def _box(written: BoxSpec) -> Box:
    if isinstance(written, str):
        return Box(kind=written)
    ((kind, options),) = written.items()
    return Box(kind=kind, options=options or {})


def _shaped(bones: Skeleton, base: Netem, options: NetemSpec, path: str) -> Netem:
    where = path
    try:
        if isinstance(options, str):
            options = {**Netem.parse(options).options()}
        for name, value in options.items():
            where = f"{path}.{join_path(name)}"
            grammar.parse_option(grammar.option_name(name), str(value))
        where = path  # what is still wrong is how options go together
        return base.merge(options)
    except InputError as error:
        raise bones.document.error(error.message, where, error.hint) from None
