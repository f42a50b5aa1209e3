"""VRFs of routers: routing tables for some interfaces (Documentation/networking/vrf.rst)."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Final

from testbed.document import Document, join_path
from testbed.errors import all_of
from testbed.hints import nearest
from testbed.topology.devices import Vrf
from testbed.topology.ends import unfit
from testbed.topology.model import Kind
from testbed.topology.spec import NodeSpec, TopologySpec

FIRST_TABLE: Final = 1001  # the table of a router's first VRF; the kernel names tables up to 255


def devices(node: NodeSpec) -> tuple[tuple[str, Vrf], ...]:
    """Return the VRFs of a node by name, with their tables."""
    return tuple((name, Vrf(table=FIRST_TABLE + index)) for index, name in enumerate(node.vrf))


def of(node: NodeSpec, interface: str) -> str:
    """Return the VRF of an interface; empty if it has none."""
    return next((name for name, members in node.vrf.items() if interface in members), "")


def check(
    document: Document[TopologySpec], name: str, node: NodeSpec, interfaces: Sequence[str]
) -> None:
    """Check the VRFs of a node.

    :raises InputError: a VRF is invalid; with file, line and path of every error.
    """
    path = join_path("nodes", name, "vrf")
    if node.vrf and node.kind is not Kind.ROUTER:
        hint = "programs of a host cannot use interfaces in a VRF: their sockets are outside it"
        raise document.error(f"{name!r} is a {node.kind}: only routers have VRFs", path, hint)
    taken: dict[str, str] = {}

    def check_name(vrf: str) -> None:
        if problem := unfit(vrf, interfaces):
            message = (
                f"{vrf!r} is not a valid name for a VRF: it also names an interface and {problem}"
            )
            raise document.error(message, f"{path}.{join_path(vrf)}")

    def check_member(vrf: str, index: int, member: str) -> None:
        place = f"{path}.{join_path(vrf)}[{index}]"
        if member not in interfaces:
            message = f"{name!r} has no interface {member!r}"
            raise document.error(message, place, nearest(member, interfaces))
        if member in taken:
            raise document.error(f"{member!r} is already in the VRF {taken[member]!r}", place)
        taken[member] = vrf

    all_of(
        *(functools.partial(check_name, vrf) for vrf in node.vrf),
        *(
            functools.partial(check_member, vrf, *member)
            for vrf, members in node.vrf.items()
            for member in enumerate(members)
        ),
    )
