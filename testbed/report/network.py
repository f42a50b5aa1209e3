"""Draws a topology: nodes in columns, and links with their shaping and addresses.

Tunnels are dashed. Lines between nodes that are not in neighbouring columns run below all nodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
import networkx as nx

from testbed.report.svg import Drawing, Point, width_of
from testbed.topology.devices import Vlan, kind_of
from testbed.topology.model import Interface, Kind, Link, Node, Topology

MOST_NODES: Final = 24  # the limit of a readable drawing
MOST_LINKS: Final = 40
_GAP: Final = 400.0  # between columns
_BOX: Final = 92.0
_PORT: Final = 64.0  # the height of a node for each of its links
_SPACE: Final = 24.0  # between nodes
_MARGIN: Final = 8.0
_LANE: Final = 56.0  # the height of each line below all nodes

_Sides = Mapping[str, tuple[list[str], list[str]]]
_Box = tuple[Point, Point]


def network(topology: Topology, first: str | None = None) -> str | None:
    """Draw a topology; return None if it is too large for a readable drawing.

    :param first: the leftmost node.
    """
    lines = [*_lines(topology)]
    if len(topology.nodes) > MOST_NODES or len(lines) > MOST_LINKS:
        return None
    columns = _columns(topology, first)
    far = [line.name for line in lines if line.is_far(columns)]
    sides = _sides(topology, lines, columns)
    boxes, width, height = _boxes(topology, lines, columns, sides)
    title = f"The topology {topology.name}: " + ", ".join(
        f"{line.title} between {line.a.node} and {line.b.node}" for line in lines
    )
    drawing = Drawing.sized(width, height + _LANE * len(far), title)
    for line in lines:
        left, right = sorted((line.a, line.b), key=lambda end: columns[end.node])
        near, away = (_port(boxes[end.node], sides[end.node], line.name) for end in (left, right))
        if line.name in far:
            lane = height + _LANE * (far.index(line.name) + 0.4)
            middle = _below(drawing, line, (near, away), lane)
        else:
            middle = _across(drawing, line, (near, away))
        ends_of = zip(
            (left, right), (near, away), (1, -1 if near[0] != away[0] else 1), strict=True
        )
        for end, point, side in ends_of:
            _addresses(drawing, topology.node(end.node), end, point, side)
        _words(drawing, line, middle)
    for node in topology.nodes:
        _node(drawing, node, boxes[node.name])
    return str(drawing)


class _Line(msgspec.Struct, frozen=True):
    """A link or a tunnel in the drawing."""

    name: str
    a: Interface
    b: Interface
    words: Sequence[str]
    kind: str = ""  # the kind of a tunnel

    @property
    def title(self) -> str:
        return f"{self.name} ({self.kind})" if self.kind else self.name

    def is_far(self, columns: Mapping[str, int]) -> bool:
        """Whether other nodes may lie between its ends."""
        return abs(columns[self.a.node] - columns[self.b.node]) > 1


def _lines(topology: Topology) -> Iterator[_Line]:
    for link in topology.links:
        yield _Line(link.name, link.a, link.b, [*shaping(link), *_vlans(topology, link)])
    for a, b in topology.tunnels:
        if a.device is not None:
            yield _Line(a.link, a, b, [kind_of(a.device)], kind_of(a.device))


def _vlans(topology: Topology, link: Link) -> list[str]:
    numbers = dict.fromkeys(
        upper.device.id
        for end in (link.a, link.b)
        for upper in _uppers(topology.node(end.node), end)
        if isinstance(upper.device, Vlan)
    )
    return [f"VLAN {', '.join(map(str, numbers))}"] if numbers else []


def _uppers(node: Node, card: Interface) -> list[Interface]:
    """Return the VLAN interfaces on a card."""
    return [
        it for it in node.interfaces if isinstance(it.device, Vlan) and it.device.lower == card.name
    ]


def _node(drawing: Drawing, node: Node, box: _Box) -> None:
    corner, size = box
    drawing.rectangle(corner, size, f"node {node.kind}")
    middle = corner[0] + size[0] / 2, corner[1] + size[1] / 2
    lines = [node.name] if node.kind is Kind.HOST else [node.name, str(node.kind)]
    if node.vrfs:
        lines.append(f"VRF {', '.join(name for name, _ in node.vrfs)}")
    for index, text in enumerate(lines):
        y = middle[1] + 4 + (index - (len(lines) - 1) / 2) * 15
        drawing.text(middle[0], y, _cut(text, _BOX), "name" if not index else "tick", "middle")


def shaping(link: Link) -> list[str]:
    """Return the shaping of a link in words: one line if both directions are equal."""
    if not link.wire:
        return ["not shaped"]
    ahead, back = (netem.to_tc() or "no limit" for netem in (link.toward_b, link.toward_a))
    if ahead == back:
        return [ahead]
    return [f"to {link.b.node}: {ahead}", f"to {link.a.node}: {back}"]


def _columns(topology: Topology, first: str | None) -> dict[str, int]:
    """Return the column of each node: its distance in links from the first node."""
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(node.name for node in topology.nodes)
    graph.add_edges_from((link.a.node, link.b.node) for link in topology.links)
    start = first if first is not None and first in graph else topology.nodes[0].name
    away: dict[str, int] = dict(nx.single_source_shortest_path_length(graph, start))
    return {node.name: away.get(node.name, 0) for node in topology.nodes}


def _sides(topology: Topology, lines: Sequence[_Line], columns: Mapping[str, int]) -> _Sides:
    """Return the links and tunnels on the left and right side of each node."""
    sides: dict[str, tuple[list[str], list[str]]] = {node.name: ([], []) for node in topology.nodes}
    for line in lines:
        for end, other in ((line.a, line.b), (line.b, line.a)):
            right = columns[end.node] <= columns[other.node]
            sides[end.node][right].append(line.name)
    return sides


def _boxes(
    topology: Topology, lines: Sequence[_Line], columns: Mapping[str, int], sides: _Sides
) -> tuple[dict[str, _Box], float, float]:
    heights = {name: max(1, *map(len, of)) * _PORT for name, of in sides.items()}
    stacks: dict[int, list[str]] = {}
    for node in topology.nodes:
        stacks.setdefault(columns[node.name], []).append(node.name)
    tall = {
        column: sum(heights[name] for name in names) + _SPACE * (len(names) - 1)
        for column, names in stacks.items()
    }
    height = max(tall.values())
    boxes = {}
    for column, names in stacks.items():
        y = _MARGIN + (height - tall[column]) / 2
        for name in names:
            boxes[name] = (_MARGIN + column * (_BOX + _GAP), y), (_BOX, heights[name])
            y += heights[name] + _SPACE
    width = (max(stacks) + 1) * _BOX + max(stacks) * _GAP + 2 * _MARGIN
    if any(columns[line.a.node] == columns[line.b.node] for line in lines):
        width += _GAP / 2  # links within a column are bows on the right
    return boxes, width, height + 2 * _MARGIN


def _port(box: _Box, sides: tuple[list[str], list[str]], link: str) -> Point:
    (x, y), (width, height) = box
    right = link in sides[1]
    links = sides[right]
    place = (links.index(link) + 0.5) / len(links)
    return x + width * right, y + height * place


def _across(drawing: Drawing, line: _Line, points: tuple[Point, Point]) -> Point:
    """Draw a line in a gap between columns; return the position of its text."""
    (x1, y1), (x2, y2) = points
    bow = _GAP / 2 if x1 == x2 else 0.0
    bend = max(x1, x2) + bow if bow else (x1 + x2) / 2
    drawing.path(
        f"M{x1:.1f} {y1:.1f}C{bend:.1f} {y1:.1f} {bend:.1f} {y2:.1f} {x2:.1f} {y2:.1f}",
        _style(line),
    )
    return (x1 + x2) / 2 + bow * 0.75, (y1 + y2) / 2


def _below(drawing: Drawing, line: _Line, points: tuple[Point, Point], lane: float) -> Point:
    """Draw a line below all nodes; return the position of its text."""
    (x1, y1), (x2, y2) = points
    down, up = x1 + _GAP / 2, x2 - _GAP / 2
    drawing.path(
        f"M{x1:.1f} {y1:.1f}C{down:.1f} {y1:.1f} {down:.1f} {lane:.1f} {x1 + _GAP:.1f} {lane:.1f}"
        f"L{x2 - _GAP:.1f} {lane:.1f}C{up:.1f} {lane:.1f} {up:.1f} {y2:.1f} {x2:.1f} {y2:.1f}",
        _style(line),
    )
    return (x1 + x2) / 2, lane


def _style(line: _Line) -> str:
    return "link tunnel" if line.kind else "link"


def _addresses(drawing: Drawing, node: Node, end: Interface, at: Point, side: int) -> None:
    """Write the first two addresses of an end, or of the VLANs on it."""
    texts = [address.partition("/")[0] for address in end.addresses[:2]]
    texts = texts or [
        f"{it.name.rpartition('.')[2]}: {it.addresses[0].partition('/')[0]}"
        for it in _uppers(node, end)[:2]
        if it.addresses
    ]
    for index, text in enumerate(texts):
        anchor = "start" if side > 0 else "end"
        drawing.text(at[0] + side * 6, at[1] + (-6, 14)[index], text, "address", anchor)


def _words(drawing: Drawing, line: _Line, at: Point) -> None:
    drawing.text(at[0], at[1] - 7, _cut(line.name, _GAP / 2), "name halo", "middle")
    for index, text in enumerate(line.words):
        y = at[1] + 14 + index * 13
        drawing.text(at[0], y, _cut(text, _GAP * 0.62), "shaping halo", "middle")


def _cut(text: str, width: float) -> str:
    most = int(width / width_of("x", 11))
    return text if len(text) <= most else text[: most - 1] + "…"


def rows(topology: Topology) -> Iterator[tuple[str, str, str, str]]:
    """Yield each end of a link, VLAN or tunnel: link, node, addresses and shaping."""
    for link in topology.links:
        for end in (link.a, link.b):
            yield _row(link.name, end, "; ".join(shaping(link)))
            for upper in _uppers(topology.node(end.node), end):
                yield _row(upper.link, upper, f"with {link.name}")
    for pair in topology.tunnels:
        for end in pair:
            yield _row(end.link, end, str(end.device))


def _row(name: str, end: Interface, said: str) -> tuple[str, str, str, str]:
    return name, f"{end.node} ({end.name})", ", ".join(end.addresses) or "none", said
