"""The skeleton of a topology: checked names, the ends of every link, and the segments.

A *segment* is one layer 2 domain: a link, or all links joined by switches; a VLAN on these; or a
tunnel. The skeleton is the first half of ``resolve``. The second half adds addresses and everything
derived from them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from testbed.document import Document, join_path
from testbed.errors import all_of
from testbed.hints import nearest
from testbed.topology import uppers, vrfs
from testbed.topology.ends import MAX_NAME, End, Segment, unfit
from testbed.topology.model import Kind
from testbed.topology.spec import EndSpec, LinkSpec, NodeSpec, TopologySpec, TunnelSpec

MAX_PORTS: Final = 1023  # limit of a Linux bridge: BR_MAX_PORTS - 1 (net/bridge/br_private.h)

_NODE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_OWN_NAME: Final = re.compile(r"[wp][0-9]+[ab]|lo")  # names that the wire namespace uses itself


class Skeleton(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The parts of a topology that do not depend on addresses."""

    document: Document[TopologySpec]
    spec: TopologySpec  # the file with the results of generators
    nodes: dict[str, NodeSpec]
    links: dict[str, tuple[End, End]]
    tunnels: dict[str, tuple[End, End]]
    ends: dict[str, list[End]]  # per node: cards and VLANs in the order of the links, then tunnels
    segments: list[Segment]
    segment_of: dict[End, Segment]  # except ports of switches


def build(document: Document[TopologySpec], spec: TopologySpec) -> Skeleton:
    """Check names and references, and find the segments.  Raises InputError."""
    nodes = {name: node or NodeSpec() for name, node in spec.nodes.items()}
    if not nodes:
        raise document.error("the topology has no nodes", "nodes")
    links: dict[str, tuple[End, End]] = {}
    vlans: dict[End, tuple[End, ...]] = {}
    tunnels: dict[str, tuple[End, End]] = {}

    def check_link(index: int, name: str, link: LinkSpec) -> None:
        pair = links[name] = _ends(document, nodes, index, name, link)
        if link.vlan:
            of_link = uppers.vlans(document, nodes, name, link, pair).values()
            for card in pair:
                vlans[card] = tuple(end for ends in of_link for end in ends if end.card is card)

    def check_tunnel(name: str, tunnel: TunnelSpec) -> None:
        tunnels[name] = uppers.tunnel_ends(document, nodes, name, tunnel)

    all_of(
        *(functools.partial(_check_node, document, name, node) for name, node in nodes.items()),
        *(
            functools.partial(check_link, index, name, link)
            for index, (name, link) in enumerate(spec.links.items())
        ),
        *(functools.partial(check_tunnel, *tunnel) for tunnel in spec.tunnels.items()),
    )
    cards = [end for pair in links.values() for end in pair]
    every = [each for card in cards for each in (card, *vlans.get(card, ()))]
    every += [end for pair in tunnels.values() for end in pair]
    ends: dict[str, list[End]] = {name: [] for name in nodes}
    for end in every:
        ends[end.node].append(end)

    def check_ends(name: str, node: NodeSpec) -> None:
        if node.kind is Kind.SWITCH and len(ends[name]) > MAX_PORTS:
            message = f"the switch has {len(ends[name])} links; the maximum is {MAX_PORTS}"
            raise document.error(message, join_path("nodes", name), "use more switches")
        vrfs.check(document, name, node, [end.name for end in ends[name]])

    all_of(
        functools.partial(_check_names, document, spec, every),
        *(functools.partial(check_ends, *node) for node in nodes.items()),
    )
    segments = uppers.with_uppers(_segments(document, nodes, links), vlans, tunnels)
    return Skeleton(
        document=document,
        spec=spec,
        nodes=nodes,
        links=links,
        tunnels=tunnels,
        ends=ends,
        segments=segments,
        segment_of={end: segment for segment in segments for end in segment.ends},
    )


def _check_names(
    document: Document[TopologySpec], spec: TopologySpec, every: Iterable[End]
) -> None:
    """Check the names of interfaces, and those of tunnels and VLANs, which must be no links."""
    names: dict[str, set[str]] = {}
    vlans = {end.link for end in every if end.vlan is not None}

    def check_path(place: str, name: str) -> None:
        if name in vlans:
            raise document.error(f"{name!r} is already the name of a VLAN", join_path(place, name))
        if place == "tunnels" and name in spec.links:
            raise document.error(f"{name!r} is already the name of a link", join_path(place, name))

    def check(end: End) -> None:
        taken = names.setdefault(end.node, set())
        _check_interface(document, end, taken)
        taken.add(end.name)

    all_of(
        *(functools.partial(check_path, "links", name) for name in spec.links),
        *(functools.partial(check_path, "tunnels", name) for name in spec.tunnels),
        *(functools.partial(check, end) for end in every),
    )


def mac(number: int, role: int) -> str:
    """Return a locally administered MAC address, different for every (number, role)."""
    octets = ":".join(f"{octet:02x}" for octet in number.to_bytes(4, "big"))
    return f"02:{role:02x}:{octets}"


def end_specs(link: LinkSpec) -> dict[str, EndSpec]:
    """Return the two ends that ``between`` names, in order."""
    if isinstance(link.between, dict):
        return {name: end or EndSpec() for name, end in link.between.items()}
    return {name: EndSpec() for name in link.between}


def _check_node(document: Document[TopologySpec], name: str, node: NodeSpec) -> None:
    path = join_path("nodes", name)
    if not _NODE_NAME.fullmatch(name):
        message = f"{name!r} is not a valid name for a node"
        raise document.error(message, path, "use 1 to 64 letters, digits, '-', '_' and '.'")
    if node.kind is not Kind.SWITCH:
        return
    if len(name) > MAX_NAME or _OWN_NAME.fullmatch(name):
        message = f"{name!r} is not a valid name for a switch"
        hint = f"its bridge has this name: at most {MAX_NAME} characters, and not lo, w0a or p0b"
        raise document.error(message, path, hint)
    for key in ("sysctls", "routes", "mptcp", "policy_routing", "run", "vrf"):
        if getattr(node, key) != getattr(NodeSpec(), key):
            raise document.error(f"a switch has no {key}", f"{path}.{key}")


def _ends(
    document: Document[TopologySpec],
    nodes: Mapping[str, NodeSpec],
    index: int,
    name: str,
    link: LinkSpec,
) -> tuple[End, End]:
    path = join_path("links", name)
    specs = end_specs(link)
    if len(specs) != 2 or len(link.between) != 2:
        raise document.error("a link needs two different nodes", f"{path}.between")
    ends = []
    for place, (node, spec) in enumerate(specs.items()):
        key: str | int = node if isinstance(link.between, dict) else place
        where = join_path("links", name, "between", key)
        if node not in nodes:
            raise document.error(f"there is no node {node!r}", where, nearest(node, nodes))
        switch = nodes[node].kind is Kind.SWITCH
        if switch and spec != EndSpec():
            raise document.error(f"{node!r} is a switch: its end has no options", where)
        interface = f"p{index}{'ab'[place]}" if switch else spec.interface or name
        ends.append(
            End(
                node=node,
                switch=switch,
                name=interface,
                link=name,
                mac=mac(2 * index + place, role=0),
                mtu=link.mtu,
                spec=spec,
                path=where,
                mtu_path=f"{path}.mtu",
                first=not place,
                bare=bool(link.vlan),
                vrf=vrfs.of(nodes[node], interface),
            )
        )
    return ends[0], ends[1]


def _check_interface(document: Document[TopologySpec], end: End, others: set[str]) -> None:
    place = end.place
    hint = f"set {place}.{'' if end.vlan else 'between.'}{end.node}.interface"
    if problem := unfit(end.name, others):
        path = f"{end.path}.interface" if end.spec.interface else place
        raise document.error(f"interface {end.name!r} at {end.node!r} {problem}", path, hint)


def _segments(
    document: Document[TopologySpec],
    nodes: Mapping[str, NodeSpec],
    links: Mapping[str, tuple[End, End]],
) -> list[Segment]:
    leader = {name: name for name, node in nodes.items() if node.kind is Kind.SWITCH}

    def find(switch: str) -> str:
        while leader[switch] != switch:
            leader[switch] = leader[leader[switch]]
            switch = leader[switch]
        return switch

    for name, (a, b) in links.items():
        if not (a.switch and b.switch):
            continue
        if find(a.node) == find(b.node):
            message = "closes a loop of switches, where frames would circulate forever"
            raise document.error(message, join_path("links", name), "remove one link of the loop")
        leader[find(b.node)] = find(a.node)

    segments: list[Segment] = []
    by_switch: dict[str, Segment] = {}
    for name, (a, b) in links.items():
        switch = find(a.node) if a.switch else find(b.node) if b.switch else None
        segment = by_switch.get(switch) if switch is not None else None
        if segment is None:
            segment = Segment(index=len(segments), name=name, ends=[])
            segments.append(segment)
            if switch is not None:
                by_switch[switch] = segment
        segment.ends.extend(end for end in (a, b) if not end.switch)
    return segments
