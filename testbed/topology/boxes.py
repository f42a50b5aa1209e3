"""The middleboxes of links, parsed from a file and checked."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from testbed import document
from testbed.document import Document, join_path
from testbed.errors import InputError, all_of
from testbed.middlebox.box import Box
from testbed.topology.ends import End
from testbed.topology.model import Neighbour
from testbed.topology.spec import BoxSpec, LinkSpec, TopologySpec

_TEXT: Final = re.compile(r"\s*(\w+)\s*(?:\((.*)\))?\s*", re.DOTALL)
_BETWEEN: Final = re.compile(r"\s+(?![^(]*\))")  # outside of the parentheses of a box
_COMMA: Final = re.compile(r",(?![^\[]*\])")  # outside of a list

Boxes = Mapping[str, tuple[Box, ...]]  # boxes by the name of the link


def boxes(written: Document[TopologySpec], links: Mapping[str, LinkSpec]) -> Boxes:
    """Read the boxes of links.

    :raises InputError: a box is invalid; with file, line and path of every error.
    """
    # Another check reports a link without two ends.
    with_boxes = {
        name: link for name, link in links.items() if link.middlebox and len(link.between) == 2
    }
    checks = (functools.partial(_of_link, written, *each) for each in with_boxes.items())
    return dict(zip(with_boxes, all_of(*checks), strict=True))


def neighbours(
    found: Boxes, links: Mapping[str, tuple[End, End]], node: str
) -> Iterator[Neighbour]:
    """Yield a node's neighbour entries, which direct packets for a box's address onto its link."""
    if not found:
        return
    from testbed.middlebox.kinds import addresses  # noqa: PLC0415 - few topologies need them

    for name, row in found.items():
        a, b = links[name]
        for box in row:
            for end, address in addresses(box, (a.node, b.node), a.mtu):
                near, far = (a, b) if end == "a" else (b, a)
                if near.node == node and not near.switch:
                    yield Neighbour(interface=near.name, address=address, mac=far.mac)


def _of_link(written: Document[TopologySpec], name: str, link: LinkSpec) -> tuple[Box, ...]:
    path = join_path("links", name, "middlebox")
    ends = tuple(link.between)
    checks = (
        functools.partial(_checked, written, place, each, ends, link.mtu)
        for place, each in _listed(path, link.middlebox)
    )
    return tuple(all_of(*checks))


def _listed(path: str, said: str | list[BoxSpec] | None) -> Iterator[tuple[str, BoxSpec]]:
    """Yield each box and its path."""
    if isinstance(said, str):
        yield from ((path, each) for each in _BETWEEN.split(said.strip()))
        return
    for index, each in enumerate(said or ()):
        yield f"{path}[{index}]", each


def _checked(
    written: Document[TopologySpec], path: str, said: BoxSpec, ends: tuple[Any, ...], mtu: int
) -> Box:
    from testbed.middlebox.kinds import KINDS, check  # noqa: PLC0415 - few topologies need them

    with written.placing(path):
        box, inner = _read(said, path)
        known = KINDS.find(box.kind)
    document.convert(box.options, known.options, written.positions.below(inner), written.name)
    with written.placing(inner):
        check(box, ends, mtu)
    return box


def _read(said: BoxSpec, path: str) -> tuple[Box, str]:
    """Read ``NAME``, ``NAME(OPTION=VALUE, ...)`` or ``{NAME: OPTIONS}``.

    :param path: its path in the file. :returns: the box, and the path of its options.
    """
    if not isinstance(said, str):
        kind, options = next(iter(said.items()))
        return Box(kind=kind, options=options or {}), f"{path}.{join_path(kind)}"
    match = _TEXT.fullmatch(said)
    if match is None:
        raise InputError(
            f"{said!r} is not a middlebox", hint="write NAME, or NAME(OPTION=VALUE, ...)"
        )
    kind, text = match.groups()
    given: dict[str, Any] = {}
    for name, value in map(_option, _COMMA.split(text) if text else ()):
        if name in given:
            raise InputError(f"{kind}: {name} is given twice")
        given[name] = value
    return Box(kind=kind, options=given), path


def _option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(
            f"{text.strip()!r} is not OPTION=VALUE", hint="write for example split(size=500)"
        )
    return name.strip(), document.parse(value, name.strip())[0]
