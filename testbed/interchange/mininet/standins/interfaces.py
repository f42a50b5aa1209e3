"""Stand-ins for interfaces (mininet/link.py)."""

# ruff: noqa: D102, N802, N803, N815 - names and arguments are Mininet's

from __future__ import annotations

from typing import Any

from testbed.interchange.mininet.standins.anything import Anything
from testbed.interchange.mininet.standins.noted import COMMANDS, NETS


class Intf(Anything):
    """An interface."""

    shaped = False

    def __init__(
        self, name: str, node: Any = None, port: int | None = None, link: Any = None,
        mac: str | None = None, **params: Any,
    ) -> None:  # fmt: skip
        super().__init__()
        self.name, self.node, self.link, self.mac = name, node, link, mac
        self.params: dict[str, Any] = {}
        self.addresses: list[str] = []
        self.ip: str | None = None
        self.prefixLen: int | str | None = None
        if node is not None:
            node.addIntf(self, port)
        self.config(**params)

    def config(self, ip: Any = None, mac: str | None = None, **params: Any) -> dict[str, Any]:
        self.mac = mac or self.mac
        self.params |= params
        if ip:
            self.setIP(*([ip] if isinstance(ip, str) else ip))
        return {}

    def setIP(self, ipstr: str, prefixLen: Any = None) -> str:
        address, _, length = str(ipstr).partition("/")
        self.ip, self.prefixLen = address, length or prefixLen or 8
        self.addresses = [f"{address}/{self.prefixLen}"]
        return ""

    def ifconfig(self, *words: Any) -> str:
        COMMANDS.append((self.node.name, " ".join(["ifconfig", self.name, *map(str, words)])))
        return "UP"

    def IP(self) -> str | None:
        return self.ip

    updateIP = IP

    def setMAC(self, macstr: str) -> str:
        self.mac = macstr
        return ""

    def MAC(self) -> str:
        return self.mac or "00:00:00:00:00:00"

    updateMAC = MAC

    def rename(self, newname: str) -> str:
        self.name = newname
        return ""

    def isUp(self, *_: Any, **__: Any) -> bool:
        return True

    def delete(self) -> None:
        NETS[-1].forget(self)

    def __bool__(self) -> bool:
        return True

    def __str__(self) -> str:
        return self.name

    __repr__ = __str__


class TCIntf(Intf):
    """An interface that tc shapes."""

    shaped = True
