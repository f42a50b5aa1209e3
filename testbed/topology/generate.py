"""Generators: the nodes and links that a ``generate`` block stands for."""

from __future__ import annotations

import itertools

import msgspec

from testbed.document import Document
from testbed.topology.model import Kind
from testbed.topology.spec import (
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
    """Return the topology with its generators carried out.  Raises InputError."""
    spec = document.value
    star, line = spec.generate.star, spec.generate.line
    count = len(spec.nodes) + (star.count + 1 if star else 0) + (line.count if line else 0)
    if count > MAX_NODES:
        path = "generate.star.count" if star else "generate.line.count" if line else "nodes"
        raise document.error(f"{count} nodes are asked for; {MAX_NODES} is the most", path)
    if line and line.count > MAX_LINE:
        message = f"{line.count} nodes in a line; {MAX_LINE} is the most"
        hint = "Linux sends packets with a TTL of 64"
        raise document.error(message, "generate.line.count", hint)
    nodes, links = dict(spec.nodes), dict(spec.links)
    made = {"star": _star(star) if star else None, "line": _line(line) if line else None}
    for name, parts in made.items():
        if parts is None:
            continue
        for clash in (*(nodes.keys() & parts[0]), *(links.keys() & parts[1])):
            raise document.error(f"makes {clash!r}, which exists already", f"generate.{name}")
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


def _link(options: LinkOptions, a: str, b: str) -> LinkSpec:
    return LinkSpec(between=[a, b], netem=options.netem, mtu=options.mtu, offload=options.offload)
