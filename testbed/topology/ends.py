"""The ends of links, VLANs and tunnels before they have addresses, and who hears whom."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

import msgspec

from testbed.document import join_path
from testbed.topology.model import Family
from testbed.topology.spec import EndSpec, TunnelSpec

MAX_NAME: Final = 15  # IFNAMSIZ - 1, linux/if.h
AUTOMATIC: Final = [family.value for family in Family]  # the words for an automatic address


def unfit(name: str, others: Collection[str]) -> str | None:
    """Return why no interface can have a name; ``None``: one can.

    :param others: the names of the node's other interfaces.
    """
    if not 1 <= len(name) <= MAX_NAME:
        return f"has {len(name)} characters; Linux takes 1 to {MAX_NAME}"
    if name in (".", "..") or re.search(r"[\s/:]|[^\x21-\x7e]", name):
        return "holds a character that no interface name may hold"
    if name in ("lo", "all", "default"):
        return "is taken by Linux itself"
    return "is used twice" if name in others else None


class End(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One end of a link, a VLAN or a tunnel, without its addresses.  Equal to nothing but itself.

    :param first: ``between`` names it first.
    :param bare: it has VLANs, and so no addresses that the file does not write.
    :param card: of a VLAN, the end of the link that it stands on.
    """

    node: str
    switch: bool
    name: str  # of the interface
    link: str  # or the VLAN or the tunnel
    mac: str
    mtu: int  # octets
    spec: EndSpec
    path: str  # in the document
    mtu_path: str
    first: bool
    bare: bool = False
    card: End | None = None
    vlan: int | None = None
    tunnel: TunnelSpec | None = None
    vrf: str = ""

    @property
    def addresses(self) -> list[str]:
        """What the file, or else the rule, says of its addresses."""
        if self.spec.addresses is not None:
            return self.spec.addresses
        return [] if self.bare else AUTOMATIC

    @property
    def place(self) -> str:
        """Where the file speaks of its link, VLAN or tunnel."""
        if self.card is not None:
            return join_path("links", self.card.link, "vlan", str(self.vlan))
        return join_path("links" if self.tunnel is None else "tunnels", self.link)

    @property
    def router(self) -> str:
        """The node as others on the way see it: each VRF of a router is one of its own."""
        return f"{self.node} {self.vrf}" if self.vrf else self.node


class Segment(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The ends, at hosts and routers, that hear one another, in the order of the file."""

    index: int
    name: str  # of its first link, or of its VLAN or tunnel
    ends: list[End]

    @property
    def is_tunnel(self) -> bool:
        """Whether the network itself carries it."""
        return self.ends[0].tunnel is not None if self.ends else False
