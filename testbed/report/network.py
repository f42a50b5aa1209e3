"""The drawing of a topology: nodes in columns, the links with their shaping and addresses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import networkx as nx

from testbed.report.svg import Drawing, Point, width_of
from testbed.topology.model import Interface, Kind, Link, Topology

MOST_NODES: Final = 24  # of a drawing that can be read
MOST_LINKS: Final = 40
_GAP: Final = 400.0  # between columns
_BOX: Final = 92.0
_PORT: Final = 64.0  # of a node's height for each of its links
_SPACE: Final = 24.0  # between nodes
_MARGIN: Final = 8.0


def network(topology: Topology, first: str | None = None) -> str | None:
    """Draw a topology; nothing where it is too large to be read.

    :param first: the node that stands on the left.
    """
    if len(topology.nodes) > MOST_NODES or len(topology.links) > MOST_LINKS:
        return None
    columns = _columns(topology, first)
    sides = _sides(topology, columns)
    boxes, width, height = _boxes(topology, columns, sides)
    title = f"The topology {topology.name}: " + ", ".join(
        f"{link.name} between {link.a.node} and {link.b.node}" for link in topology.links
    )
    drawing = Drawing.sized(width, height, title)
    for link in topology.links:
        left, right = sorted((link.a, link.b), key=lambda end: columns[end.node])
        points = [_port(boxes[end.node], sides[end.node], link.name) for end in (left, right)]
        _link(drawing, link, (left, right), (points[0], points[1]))
    for node in topology.nodes:
        corner, size = boxes[node.name]
        drawing.rectangle(corner, size, f"node {node.kind}")
        middle = corner[0] + size[0] / 2, corner[1] + size[1] / 2
        lines = [node.name] if node.kind is Kind.HOST else [node.name, str(node.kind)]
        for index, text in enumerate(lines):
            y = middle[1] + 4 + (index - (len(lines) - 1) / 2) * 15
            drawing.text(middle[0], y, _cut(text, _BOX), "name" if not index else "tick", "middle")
    return str(drawing)


def shaping(link: Link) -> list[str]:
    """Return the shaping of a link in words: one line if both directions are alike."""
    if not link.wire:
        return ["not shaped"]
    ahead, back = (netem.to_tc() or "no limit" for netem in (link.toward_b, link.toward_a))
    if ahead == back:
        return [ahead]
    return [f"to {link.b.node}: {ahead}", f"to {link.a.node}: {back}"]


def _columns(topology: Topology, first: str | None) -> dict[str, int]:
    """Return the column of each node: how many links it is away from the first one."""
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(node.name for node in topology.nodes)
    graph.add_edges_from((link.a.node, link.b.node) for link in topology.links)
    start = first if first is not None and first in graph else topology.nodes[0].name
    away: dict[str, int] = dict(nx.single_source_shortest_path_length(graph, start))
    return {node.name: away.get(node.name, 0) for node in topology.nodes}


_Sides = Mapping[str, tuple[list[str], list[str]]]
_Box = tuple[Point, Point]


def _sides(topology: Topology, columns: Mapping[str, int]) -> _Sides:
    """Return the links on the left and on the right of each node."""
    sides: dict[str, tuple[list[str], list[str]]] = {node.name: ([], []) for node in topology.nodes}
    for link in topology.links:
        for end, other in ((link.a, link.b), (link.b, link.a)):
            right = columns[end.node] <= columns[other.node]
            sides[end.node][right].append(link.name)
    return sides


def _boxes(
    topology: Topology, columns: Mapping[str, int], sides: _Sides
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
    if any(columns[link.a.node] == columns[link.b.node] for link in topology.links):
        width += _GAP / 2  # such links are drawn as a bow on the right
    return boxes, width, height + 2 * _MARGIN


def _port(box: _Box, sides: tuple[list[str], list[str]], link: str) -> Point:
    (x, y), (width, height) = box
    right = link in sides[1]
    links = sides[right]
    place = (links.index(link) + 0.5) / len(links)
    return x + width * right, y + height * place


def _link(
    drawing: Drawing, link: Link, ends: tuple[Interface, Interface], points: tuple[Point, Point]
) -> None:
    (x1, y1), (x2, y2) = points
    bow = _GAP / 2 if x1 == x2 else 0.0
    middle = (x1 + x2) / 2 + bow * 0.75, (y1 + y2) / 2
    bend = max(x1, x2) + bow if bow else (x1 + x2) / 2
    drawing.path(
        f"M{x1:.1f} {y1:.1f}C{bend:.1f} {y1:.1f} {bend:.1f} {y2:.1f} {x2:.1f} {y2:.1f}", "link"
    )
    for end, (x, y), side in zip(ends, points, (1, -1 if not bow else 1), strict=True):
        for index, address in enumerate(end.addresses[:2]):
            anchor = "start" if side > 0 else "end"
            text = address.partition("/")[0]
            drawing.text(x + side * 6, y + (-6, 14)[index], text, "address", anchor)
    lines = shaping(link)
    drawing.text(middle[0], middle[1] - 7, _cut(link.name, _GAP / 2), "name halo", "middle")
    for index, text in enumerate(lines):
        y = middle[1] + 14 + index * 13
        drawing.text(middle[0], y, _cut(text, _GAP * 0.62), "shaping halo", "middle")


def _cut(text: str, width: float) -> str:
    most = int(width / width_of("x", 11))
    return text if len(text) <= most else text[: most - 1] + "…"


def ends(link: Link) -> Sequence[tuple[str, str]]:
    """Return each end of a link, and its addresses."""
    return [
        (f"{end.node} ({end.name})", ", ".join(end.addresses) or "none") for end in (link.a, link.b)
    ]
