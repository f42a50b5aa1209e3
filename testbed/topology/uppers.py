"""The ends of VLANs and tunnels in a file, checked and joined to segments.

Both are links without their own wire. The ends of a VLAN share a segment if their cards do. A
tunnel has two ends, and the network carries its packets.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Final

from testbed.document import Document, join_path
from testbed.errors import all_of
from testbed.hints import nearest
from testbed.topology import vrfs
from testbed.topology.ends import End, Segment
from testbed.topology.model import Kind
from testbed.topology.spec import (
    EndSpec,
    LinkSpec,
    NodeSpec,
    TopologySpec,
    TunnelEndSpec,
    TunnelSpec,
)

MAX_VLAN: Final = 4094
_DEFAULT_MTU: Final = 1500  # before the cards that carry a tunnel are known


def vlan_name(link: str, number: int) -> str:
    """Return the name of a VLAN on a link, which is also the name of its interfaces."""
    return f"{link}.{number}"


def vlans(
    document: Document[TopologySpec],
    nodes: Mapping[str, NodeSpec],
    name: str,
    link: LinkSpec,
    ends: tuple[End, End],
) -> dict[int, tuple[End, ...]]:
    """Return the ends of each VLAN on a link, except those of switches.

    :raises InputError: a VLAN is invalid; with file, line and path of every error.
    """
    path = join_path("links", name, "vlan")
    found: dict[int, tuple[End, ...]] = {}

    def add(place: str, number: int, said: Mapping[str, EndSpec | None]) -> None:
        if number in found:
            raise document.error(f"VLAN {number} appears twice", place)
        hosts = [end for end in ends if not end.switch]
        for node in said:
            if node not in [end.node for end in hosts]:
                message = f"{node!r} has no interface at this link"
                hint = nearest(node, [end.node for end in hosts])
                raise document.error(message, f"{place}.{join_path(node)}", hint)
        if not hosts:
            raise document.error("a VLAN needs a host or router at the link", place)
        found[number] = tuple(
            _vlan_end(end, number, said.get(end.node) or EndSpec(), place, nodes[end.node])
            for end in hosts
        )

    if isinstance(link.vlan, dict):
        numbered = (
            (f"{path}.{join_path(text)}", text, said or {}) for text, said in link.vlan.items()
        )
    else:
        numbered = ((f"{path}[{n}]", str(it), {}) for n, it in enumerate(link.vlan))

    def checked(place: str, text: str, said: Mapping[str, EndSpec | None]) -> None:
        if not text.isdecimal() or not 1 <= int(text) <= MAX_VLAN:
            raise document.error(
                f"{text!r} is not a VLAN: VLANs are numbered 1 to {MAX_VLAN}", place
            )
        add(place, int(text), said)

    all_of(*(functools.partial(checked, *each) for each in numbered))
    return found


def _vlan_end(card: End, number: int, spec: EndSpec, place: str, node: NodeSpec) -> End:
    name = spec.interface or vlan_name(card.name, number)
    return End(
        node=card.node,
        switch=False,
        name=name,
        link=vlan_name(card.link, number),
        mac=card.mac,
        mtu=card.mtu,
        spec=spec,
        path=f"{place}.{join_path(card.node)}",
        mtu_path=card.mtu_path,
        first=card.first,
        card=card,
        vlan=number,
        vrf=vrfs.of(node, name),
    )


def tunnel_ends(
    document: Document[TopologySpec],
    nodes: Mapping[str, NodeSpec],
    name: str,
    tunnel: TunnelSpec,
) -> tuple[End, End]:
    """Check a tunnel and return its ends. Raises InputError."""
    path = join_path("tunnels", name)
    specs = {
        node: spec or TunnelEndSpec()
        for node, spec in (
            tunnel.between.items()
            if isinstance(tunnel.between, dict)
            else ((node, None) for node in tunnel.between)
        )
    }
    if len(specs) != 2 or len(tunnel.between) != 2:
        raise document.error("a tunnel needs two different nodes", f"{path}.between")
    for key, kinds in (("key", ("gre", "ip6gre")), ("port", ("wireguard",))):
        if getattr(tunnel, key) is not None and tunnel.kind not in kinds:
            raise document.error(f"a {tunnel.kind} tunnel has no {key}", f"{path}.{key}")
    ends = []
    for place, (node, spec) in enumerate(specs.items()):
        at: str | int = node if isinstance(tunnel.between, dict) else place
        where = join_path("tunnels", name, "between", at)
        if node not in nodes:
            raise document.error(f"there is no node {node!r}", where, nearest(node, nodes))
        if nodes[node].kind is Kind.SWITCH:
            raise document.error(f"{node!r} is a switch: it has no address", where)
        ends.append(
            End(
                node=node,
                switch=False,
                name=spec.interface or name,
                link=name,
                mac="",
                mtu=tunnel.mtu or _DEFAULT_MTU,
                spec=spec,
                path=where,
                mtu_path=f"{path}.mtu" if tunnel.mtu else path,
                first=not place,
                tunnel=tunnel,
                vrf=vrfs.of(nodes[node], spec.interface or name),
            )
        )
    return ends[0], ends[1]


def with_uppers(
    segments: list[Segment],
    vlans_of: Mapping[End, tuple[End, ...]],
    tunnels: Mapping[str, tuple[End, End]],
) -> list[Segment]:
    """Return all segments: those of cards, each followed by its VLANs, and then the tunnels.

    :param vlans_of: the ends of VLANs on each card.
    """
    found: list[Segment] = []
    for name, ends in _joined(segments, vlans_of):
        found.append(Segment(index=len(found), name=name, ends=ends))
    for name, pair in tunnels.items():
        found.append(Segment(index=len(found), name=name, ends=list(pair)))
    return found


def _joined(
    segments: list[Segment], vlans_of: Mapping[End, tuple[End, ...]]
) -> Iterator[tuple[str, list[End]]]:
    for segment in segments:
        yield segment.name, segment.ends
        numbered: dict[int, list[End]] = {}
        for card in segment.ends:
            for end in vlans_of.get(card, ()):
                numbered.setdefault(end.vlan or 0, []).append(end)
        for ends in numbered.values():
            yield ends[0].link, ends
