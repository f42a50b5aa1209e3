"""Public data about networks as topologies: the Internet Topology Zoo, and matrices of RTTs.  Pure.

The Topology Zoo (Knight et al., IEEE JSAC 29(9), 2011) has GraphML files of operators' networks,
with places and mostly with link speeds. A matrix of round-trip times between places is what RIPE
Atlas and cloud providers publish. Both become routers with hosts.
"""

from __future__ import annotations

import itertools
import math
import re
import warnings
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from testbed.document import Data
from testbed.errors import InputError
from testbed.hints import nearest
from testbed.interchange.imports import Imported
from testbed.separated import cells
from testbed.units import format_rate, format_time

EARTH_KM: Final = 6371.0
KM_PER_MS: Final = 200.0  # light in fibre: two thirds of its speed in a vacuum
_LEAST_DELAY_NS: Final = 10_000


class Edge(msgspec.Struct, frozen=True):
    """A link between two places. ``rate`` is in bit/s, ``delay_ns`` is one-way; None if unknown."""

    a: str
    b: str
    rate: int | None
    delay_ns: int | None


class Graph(msgspec.Struct, frozen=True):
    """A network of places."""

    name: str
    places: tuple[str, ...]
    edges: tuple[Edge, ...]


class Choices(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters that the file does not determine.

    :param hosts: the places that get a host; by default all.
    :param rate: the rate of links of unknown speed, in bit/s; None for no limit.
    :param divide: the divisor of known speeds, as no computer emulates 10 Gbit/s.
    :param delay_ns: the delay of links whose ends have no coordinates.
    """

    hosts: tuple[str, ...] = ()
    rate: int | None = None
    divide: float = 1.0
    delay_ns: int = 1_000_000


def read_topology_zoo(text: str, file: str) -> Graph:
    """Read a GraphML file.

    :raises InputError: the file is no GraphML, or has no nodes.
    """
    import networkx as nx  # noqa: PLC0415 - slow to load, and seldom needed

    try:
        with warnings.catch_warnings(action="ignore"):  # of keys without a type
            graph: Any = nx.parse_graphml(text)
    except Exception as error:  # networkx and expat have no common class
        raise InputError(f"is not GraphML: {error}", file=file) from None
    if not graph.number_of_nodes():
        raise InputError("has no nodes", file=file)
    names = _names({key: str(data.get("label") or key) for key, data in graph.nodes(data=True)})
    where = {key: _coordinates(data) for key, data in graph.nodes(data=True)}
    edges = tuple(
        Edge(names[a], names[b], _speed(data), _delay(where[a], where[b]))
        for a, b, data in graph.edges(data=True)
        if a != b
    )
    return Graph(str(graph.graph.get("Network") or "network"), tuple(names.values()), edges)


def read_rtt_matrix(text: str, file: str) -> Graph:
    """Read a CSV with names in the first row and column, and round-trip times in ms.

    An empty value means no link. If a pair has two times, the mean is used.

    :raises InputError: a line is invalid; the error names it.
    """
    numbered = enumerate(text.splitlines(), 1)
    rows = [(number, cells(line, file=file, line=number)) for number, line in numbered]
    (top, head), *rows = [row for row in rows if any(row[1])] or [(1, [])]
    if len(rows) < 2:
        raise InputError("has fewer than two rows of round-trip times", file=file)
    columns, labels = head[1:], [row[0] for _, row in rows]
    if columns != labels:
        message = "the columns and the rows have different names"
        raise InputError(message, file=file, line=top)
    names = _names({label: label for label in labels})
    times = {
        (row[0], column): _milliseconds(cell, file, line)
        for line, row in rows
        for column, cell in zip(columns, row[1:], strict=False)
    }
    edges = []
    for a, b in itertools.combinations(labels, 2):
        known = [it for it in (times.get((a, b)), times.get((b, a))) if it is not None]
        if known:
            one_way_ns = round(sum(known) / len(known) / 2 * 1e6)
            edges.append(Edge(names[a], names[b], None, max(one_way_ns, _LEAST_DELAY_NS)))
    return Graph("matrix", tuple(names.values()), tuple(edges))


def imported(graph: Graph, choices: Choices, origin: str, format_name: str) -> Imported:
    """Return a topology: a router at each place, and hosts ``h-PLACE``.

    :raises InputError: a host is requested at an unknown place.
    """
    for name in choices.hosts:
        if name not in graph.places:
            raise InputError(f"there is no place {name!r}", hint=nearest(name, graph.places))
    hosts = choices.hosts or graph.places
    nodes: dict[str, Data] = {place: {"kind": "router"} for place in graph.places}
    nodes |= {f"h-{place}": {} for place in hosts}
    links: dict[str, Data] = {
        f"l{number}": _link(edge, choices) for number, edge in enumerate(graph.edges, 1)
    }
    links |= {
        f"a{number}": {"between": [f"h-{place}", place]} for number, place in enumerate(hosts, 1)
    }
    data: dict[str, Data] = {
        "description": graph.name,
        "routing": "hosts",
        "nodes": nodes,
        "links": links,
    }
    return Imported(origin=origin, format=format_name, data=data)


def _link(edge: Edge, choices: Choices) -> dict[str, Data]:
    rate = choices.rate if edge.rate is None else max(1, round(edge.rate / choices.divide))
    delay = choices.delay_ns if edge.delay_ns is None else edge.delay_ns
    netem: dict[str, Data] = {} if rate is None else {"rate": format_rate(rate)}
    netem["delay"] = format_time(delay)
    return {"between": [edge.a, edge.b], "netem": netem}


def _names(labels: Mapping[Any, str]) -> dict[Any, str]:
    """Return unique valid node names."""
    found: dict[Any, str] = {}
    used: set[str] = set()
    for key, label in labels.items():
        base = re.sub(r"[^A-Za-z0-9_-]+", "-", label).strip("-_")[:50] or "node"
        candidates = itertools.chain([base], (f"{base}-{n}" for n in itertools.count(2)))
        found[key] = next(name for name in candidates if name not in used)
        used.add(found[key])
    return found


def _coordinates(data: Mapping[str, Any]) -> tuple[float, float] | None:
    try:
        found = float(data["Latitude"]), float(data["Longitude"])
    except (KeyError, TypeError, ValueError):
        return None
    return found if all(map(math.isfinite, found)) else None


def _speed(data: Mapping[str, Any]) -> int | None:
    try:
        return int(float(data["LinkSpeedRaw"])) or None
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _delay(a: tuple[float, float] | None, b: tuple[float, float] | None) -> int | None:
    """Return the propagation time in fibre along the great circle (haversine formula)."""
    if a is None or b is None:
        return None
    (lat1, lon1), (lat2, lon2) = (tuple(map(math.radians, each)) for each in (a, b))
    half = (
        math.sin((lat2 - lat1) / 2) ** 2
        + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    )
    km = 2 * EARTH_KM * math.asin(math.sqrt(half))
    return max(round(km / KM_PER_MS * 1e3) * 1000, _LEAST_DELAY_NS)


def _milliseconds(cell: str, file: str, line: int) -> float | None:
    if not cell:
        return None
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise InputError(f"{cell!r} is not a time in ms", file=file, line=line)
    return value
