"""Stand-ins for links (mininet/link.py)."""

# ruff: noqa: ARG002, D102, N803 - names and arguments are Mininet's

from __future__ import annotations

from typing import Any

from testbed.interchange.mininet.standins.anything import Anything
from testbed.interchange.mininet.standins.interfaces import Intf, TCIntf
from testbed.interchange.mininet.standins.noted import LINKS


class Link(Anything):
    """A link: two interfaces."""

    interface: Any = Intf

    def __init__(
        self, node1: Any, node2: Any, port1: int | None = None, port2: int | None = None,
        intfName1: str | None = None, intfName2: str | None = None, addr1: str | None = None,
        addr2: str | None = None, intf: Any = None, cls1: Any = None, cls2: Any = None,
        params1: dict[str, Any] | None = None, params2: dict[str, Any] | None = None,
        fast: bool = True, **params: Any,
    ) -> None:  # fmt: skip
        super().__init__()
        made = []
        ends = (
            (node1, port1, intfName1, addr1, cls1, params1),
            (node2, port2, intfName2, addr2, cls2, params2),
        )
        for node, port, name, mac, kind, own in ends:
            number = node.newPort() if port is None else port
            of = kind or intf or self.interface
            options = (own or {}) | params
            made.append(of(name or f"{node.name}-eth{number}", node, number, self, mac, **options))
        self.intf1, self.intf2 = made
        LINKS.append(self)

    def status(self) -> str:
        return "(OK OK)"

    def stop(self) -> None:
        pass

    def delete(self) -> None:
        LINKS.remove(self)

    def __bool__(self) -> bool:
        return True

    def __str__(self) -> str:
        return f"{self.intf1}<->{self.intf2}"


class TCLink(Link):
    """A link that tc shapes at both ends."""

    interface = TCIntf


TCULink = OVSLink = TCLink
