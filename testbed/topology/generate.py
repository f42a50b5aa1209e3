"""Generators: the nodes and links of a ``generate`` block."""

from __future__ import annotations

import functools
import itertools

import msgspec

from testbed.document import Document
from testbed.errors import all_of
from testbed.topology.model import Kind
from testbed.topology.shaping import shaping
from testbed.topology.spec import (
    BCubeSpec,
    FatTreeSpec,
    LineSpec,
    LinkOptions,
    LinkSpec,
    NodeSpec,
    StarSpec,
    TopologySpec,
)

MAX_NODES = 10_000
MAX_LINE = 64  # the default TTL of Linux: a longer line cannot be crossed

_Parts = tuple[dict[str, NodeSpec | None], dict[str, LinkSpec]]


def expand(document: Document[TopologySpec]) -> TopologySpec:
    """Return the topology with the results of its generators.

    :raises InputError: a generator is invalid. The error is reported once, at the generator.
    """
    spec = document.value
    asked = spec.generate
    counts = {
        "star": asked.star.count + 1 if asked.star else 0,
        "line": asked.line.count if asked.line else 0,
        "fat_tree": _size(asked.fat_tree.ports) if asked.fat_tree else 0,
        "bcube": _cube_size(asked.bcube) if asked.bcube else 0,
    }
    count = len(spec.nodes) + sum(counts.values())
    if count > MAX_NODES:
        most = max(counts, key=lambda name: counts[name])
        number = "ports" if most in ("fat_tree", "bcube") else "count"
        path = f"generate.{most}.{number}" if counts[most] else "nodes"
        raise document.error(f"the topology has {count} nodes; the maximum is {MAX_NODES}", path)
    if asked.line and asked.line.count > MAX_LINE:
        message = f"the line has {asked.line.count} nodes; the maximum is {MAX_LINE}"
        hint = "Linux sends packets with a TTL of 64"
        raise document.error(message, "generate.line.count", hint)
    nodes, links = dict(spec.nodes), dict(spec.links)
    made = {
        "star": _star(asked.star) if asked.star else None,
        "line": _line(asked.line) if asked.line else None,
        "fat_tree": _fat_tree(asked.fat_tree) if asked.fat_tree else None,
        "bcube": _bcube(asked.bcube) if asked.bcube else None,
    }
    all_of(
        *(
            functools.partial(shaping, document, f"generate.{name}", next(iter(parts[1].values())))
            for name, parts in made.items()
            if parts is not None
        )
    )
    for name, parts in made.items():
        if parts is None:
            continue
        for clash in (*(nodes.keys() & parts[0]), *(links.keys() & parts[1])):
            raise document.error(f"generates {clash!r}, which already exists", f"generate.{name}")
        nodes.update(parts[0])
        links.update(parts[1])
    return msgspec.structs.replace(spec, nodes=nodes, links=links)


def _star(star: StarSpec) -> _Parts:
    hosts = [f"h{i}" for i in range(1, star.count + 1)]
    nodes: dict[str, NodeSpec | None] = {"hub": NodeSpec(kind=Kind(star.hub))}
    nodes.update(dict.fromkeys(hosts))
    return nodes, {f"l-{host}": _link(star, host, "hub") for host in hosts}


def _line(line: LineSpec) -> _Parts:
    names = [f"n{i}" for i in range(1, line.count + 1)]
    nodes: dict[str, NodeSpec | None] = {name: NodeSpec(kind=Kind.ROUTER) for name in names}
    nodes[names[0]] = nodes[names[-1]] = None
    pairs = itertools.pairwise(names)
    return nodes, {f"{a}-{b}": _link(line, a, b) for a, b in pairs}


def _size(ports: int) -> int:
    """Return how many nodes a fat tree has: core, aggregation and edge routers, and hosts."""
    half = ports // 2
    return half * half + 2 * ports * half + ports * half * half


def _fat_tree(tree: FatTreeSpec) -> _Parts:
    half = tree.ports // 2
    router = NodeSpec(kind=Kind.ROUTER)
    nodes: dict[str, NodeSpec | None] = {f"c{i}": router for i in range(1, half * half + 1)}
    pairs: list[tuple[str, str]] = []
    host = 0
    for pod in range(1, tree.ports + 1):
        above = [f"a{pod}x{i}" for i in range(1, half + 1)]
        edges = [f"e{pod}x{i}" for i in range(1, half + 1)]
        nodes.update(dict.fromkeys((*above, *edges), router))
        for group, name in enumerate(above):
            pairs += [(name, f"c{group * half + i}") for i in range(1, half + 1)]
        for edge in edges:
            pairs += [(edge, name) for name in above]
            for _ in range(half):
                host += 1
                nodes[f"h{host}"] = None
                pairs.append((f"h{host}", edge))
    return nodes, {f"{a}-{b}": _link(tree, a, b) for a, b in pairs}


def _cube_size(cube: BCubeSpec) -> int:
    """Return how many nodes a BCube has: servers, and switches of each level."""
    servers: int = cube.ports**cube.levels
    return servers + cube.levels * (servers // cube.ports)


def _bcube(cube: BCubeSpec) -> _Parts:
    """Join servers whose numbers, in base ``ports``, differ in digit L by a switch of level L."""
    servers: int = cube.ports**cube.levels
    nodes: dict[str, NodeSpec | None] = {}
    pairs: list[tuple[str, str]] = []
    for server in range(servers):
        name = f"h{server + 1}"
        nodes[name] = NodeSpec(kind=Kind.RELAY)
        for level in range(cube.levels):
            low = cube.ports**level
            number = server // (low * cube.ports) * low + server % low  # without that digit
            switch = f"s{level}x{number + 1}"
            nodes[switch] = NodeSpec(kind=Kind.SWITCH)
            pairs.append((name, switch))
    return nodes, {f"{a}-{b}": _link(cube, a, b) for a, b in pairs}


def _link(options: LinkOptions, a: str, b: str) -> LinkSpec:
    return LinkSpec(
        between=[a, b],
        netem=options.netem,
        mtu=options.mtu,
        offload=options.offload,
        duplex=options.duplex,
        shaper=options.shaper,
    )
