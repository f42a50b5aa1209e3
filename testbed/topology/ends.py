"""The ends of links, VLANs and tunnels before they have addresses, and their segments."""

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
    """Return why a name is invalid for an interface, or ``None`` if it is valid.

    :param others: the names of the node's other interfaces.
    """
    if not 1 <= len(name) <= MAX_NAME:
        return f"has {len(name)} characters; Linux allows 1 to {MAX_NAME}"
    if name in (".", "..") or re.search(r"[\s/:]|[^\x21-\x7e]", name):
        return "contains a character that an interface name cannot contain"
    if name in ("lo", "all", "default"):
        return "is reserved by Linux"
    return "is used twice" if name in others else None


class End(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One end of a link, a VLAN or a tunnel, without its addresses. Compared by identity.

    :param first: whether ``between`` names it first.
    :param bare: whether it has VLANs, and therefore no automatic addresses by default.
    :param card: for a VLAN, the end of the link that carries it.
    """

    node: str
    switch: bool
    name: str  # the name of the interface
    link: str  # the name of the link, VLAN or tunnel
    mac: str
    mtu: int  # octets
    spec: EndSpec
    path: str  # the path in the document
    mtu_path: str
    first: bool
    bare: bool = False
    card: End | None = None
    vlan: int | None = None
    tunnel: TunnelSpec | None = None
    vrf: str = ""

    @property
    def addresses(self) -> list[str]:
        """Its addresses in the file, or else the default."""
        if self.spec.addresses is not None:
            return self.spec.addresses
        return [] if self.bare else AUTOMATIC

    @property
    def place(self) -> str:
        """The path of its link, VLAN or tunnel in the file."""
        if self.card is not None:
            return join_path("links", self.card.link, "vlan", str(self.vlan))
        return join_path("links" if self.tunnel is None else "tunnels", self.link)

    @property
    def router(self) -> str:
        """The name of its router; each VRF of a router counts as a separate router."""
        return f"{self.node} {self.vrf}" if self.vrf else self.node


class Segment(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The ends of one layer 2 domain at hosts and routers, in the order of the file."""

    index: int
    name: str  # the name of its first link, or of its VLAN or tunnel
    ends: list[End]

    @property
    def is_tunnel(self) -> bool:
        """Whether it is a tunnel, which the network itself carries."""
        return self.ends[0].tunnel is not None if self.ends else False
