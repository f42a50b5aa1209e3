"""Stand-ins for Mininet's topologies: ``Topo`` and its generated subclasses."""

# ruff: noqa: D102, N802, N803 - names are Mininet's

from __future__ import annotations

import re
from typing import Any

from testbed.interchange.mininet.standins import Anything


def natural(text: object) -> list[tuple[int, int | str]]:
    """Return the sort key of Mininet's order: h2 is before h10."""
    parts = re.split(r"(\d+)", str(text))
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts]


class Topo(Anything):
    """A graph of names, created by ``build``."""

    def __init__(self, *arguments: Any, **params: Any) -> None:
        super().__init__()
        self.hopts = params.pop("hopts", {})
        self.sopts = params.pop("sopts", {})
        self.lopts = params.pop("lopts", {})
        self._infos: dict[str, dict[str, Any]] = {}
        self._links: list[dict[str, Any]] = []
        self._ports: dict[str, dict[int, tuple[str, int]]] = {}
        self.build(*arguments, **params)

    def build(self, *_: Any, **__: Any) -> None:
        pass

    def addNode(self, name: str, **options: Any) -> str:
        self._infos[name] = options
        return name

    def addHost(self, name: str, **options: Any) -> str:
        return self.addNode(name, **(options or self.hopts))

    def addSwitch(self, name: str, **options: Any) -> str:
        return self.addNode(name, isSwitch=True, **(options or self.sopts))

    def addLink(self, node1: str, node2: str, port1: Any = None, port2: Any = None, key: Any = None,
                **options: Any) -> Any:  # fmt: skip
        port1, port2 = self.addPort(node1, node2, port1, port2)
        ends = {"node1": node1, "node2": node2, "port1": port1, "port2": port2}
        self._links.append((options or dict(self.lopts)) | ends)
        return key

    def addPort(self, src: str, dst: str, sport: Any = None, dport: Any = None) -> tuple[int, int]:
        found = []
        for node, given in ((src, sport), (dst, dport)):
            used = self._ports.setdefault(node, {})
            found.append(len(used) + int(self.isSwitch(node)) if given is None else given)
        self._ports[src][found[0]] = (dst, found[1])
        self._ports[dst][found[1]] = (src, found[0])
        return found[0], found[1]

    def port(self, src: str, dst: str) -> Any:
        found = [(own, other) for own, (to, other) in self._ports[src].items() if to == dst]
        return found if len(found) != 1 else found[0]

    def isSwitch(self, name: str) -> bool:
        return bool(self._infos.get(name, {}).get("isSwitch", False))

    def nodes(self, sort: bool = True) -> list[str]:
        return sorted(self._infos, key=natural) if sort else list(self._infos)

    def hosts(self, sort: bool = True) -> list[str]:
        return [name for name in self.nodes(sort) if not self.isSwitch(name)]

    def switches(self, sort: bool = True) -> list[str]:
        return [name for name in self.nodes(sort) if self.isSwitch(name)]

    def links(
        self, sort: bool = False, withKeys: bool = False, withInfo: bool = False
    ) -> list[Any]:
        found = []
        for number, info in enumerate(self._links):
            ends = (info["node1"], info["node2"])
            found.append((*ends, *([number] if withKeys else []), *([info] if withInfo else [])))
        return sorted(found, key=lambda it: natural(it[:2])) if sort else found

    def iterLinks(self, withKeys: bool = False, withInfo: bool = False) -> Any:
        return iter(self.links(withKeys=withKeys, withInfo=withInfo))

    def linkInfo(self, src: str, dst: str, key: int | None = None) -> dict[str, Any]:
        found = [it for it in self._links if {it["node1"], it["node2"]} == {src, dst}]
        return found[key or 0]

    def setlinkInfo(self, src: str, dst: str, info: dict[str, Any], key: int | None = None) -> None:
        self.linkInfo(src, dst, key).update(info)

    def nodeInfo(self, name: str) -> dict[str, Any]:
        return self._infos[name]

    def setNodeInfo(self, name: str, info: dict[str, Any]) -> None:
        self._infos[name] = info

    def __bool__(self) -> bool:
        return True


class SingleSwitchTopo(Topo):
    """Hosts at one switch."""

    def build(self, k: int = 2, **_: Any) -> None:
        switch = self.addSwitch("s1")
        for number in range(1, k + 1):
            self.addLink(self.addHost(f"h{number}"), switch)


class SingleSwitchReversedTopo(SingleSwitchTopo):
    """Hosts at one switch. Only the numbers of ports differ from ``SingleSwitchTopo``."""


class MinimalTopo(SingleSwitchTopo):
    """Two hosts at one switch."""


class LinearTopo(Topo):
    """Switches in a row, each with hosts."""

    def build(self, k: int = 2, n: int = 1, **_: Any) -> None:
        before = None
        for number in range(1, k + 1):
            switch = self.addSwitch(f"s{number}")
            for host in range(1, n + 1):
                name = f"h{number}" if n == 1 else f"h{host}s{number}"
                self.addLink(self.addHost(name), switch)
            if before:
                self.addLink(switch, before)
            before = switch


class TreeTopo(Topo):
    """A tree of switches with hosts as its leaves."""

    def build(self, depth: int = 1, fanout: int = 2, **_: Any) -> None:
        self._counts = {"h": 0, "s": 0}
        self._tree(depth, fanout)

    def _tree(self, depth: int, fanout: int) -> str:
        letter = "s" if depth > 0 else "h"
        self._counts[letter] += 1
        name = f"{letter}{self._counts[letter]}"
        if depth == 0:
            return self.addHost(name)
        node = self.addSwitch(name)
        for _ in range(fanout):
            self.addLink(node, self._tree(depth - 1, fanout))
        return node
