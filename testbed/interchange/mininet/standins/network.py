"""The stand-in for networks (mininet/net.py)."""

# ruff: noqa: ARG002, D102, N802, N803, N815 - names and arguments are Mininet's

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

from testbed.interchange.mininet.standins.anything import Anything
from testbed.interchange.mininet.standins.interfaces import Intf
from testbed.interchange.mininet.standins.links import Link, TCLink
from testbed.interchange.mininet.standins.nodes import NAT, Controller, Host, Node, Switch
from testbed.interchange.mininet.standins.noted import NETS, NOTES


def _node(cls: Any, usual: type[Node], name: str, params: dict[str, Any]) -> Node:
    """Create a node, of the default class if the requested class has no stand-in."""
    made = cls(name, **params)
    if isinstance(made, Node):
        return made
    NOTES[f"classes of nodes that are not Mininet's own are taken as {usual.__name__}"] = None
    return usual(name, **params)


class Mininet(Anything):
    """A network, built from a topology or by calls."""

    def __init__(
        self, topo: Any = None, switch: Any = Switch, host: Any = Host, controller: Any = None,
        link: Any = Link, intf: Any = None, build: bool = True, ipBase: str = "10.0.0.0/8",
        **_: Any,
    ) -> None:  # fmt: skip
        super().__init__()
        self.topo, self.switch, self.host, self.link, self.intf = topo, switch, host, link, intf
        self.controller, self.built = controller, False
        self.begun: list[Any] = []  # the links at the start
        self.nameToNode: dict[str, Node] = {}
        self.hosts: list[Node] = []
        self.switches: list[Node] = []
        self.controllers: list[Node] = []
        self.links: list[Any] = []
        network = ipaddress.ip_network(ipBase, strict=False)
        self._pool, self._length = network.hosts(), network.prefixlen
        self.automatic: dict[str, str] = {}  # the address that Mininet assigns to a host
        NETS.append(self)
        if topo is not None and build:
            self.build()

    def addHost(self, name: str, cls: Any = None, **params: Any) -> Any:
        if "ip" not in params:
            self.automatic[name] = f"{next(self._pool)}/{self._length}"
        made = _node(cls or self.host, Host, name, params)
        self._keep(made, self.hosts)
        return made

    def addSwitch(self, name: str, cls: Any = None, **params: Any) -> Any:
        made = _node(cls or self.switch, Switch, name, params)
        self._keep(made, self.switches)
        return made

    def addController(self, name: Any = "c0", controller: Any = None, **params: Any) -> Any:
        made = name if isinstance(name, Node) else Controller(str(name), **params)
        self._keep(made, self.controllers)
        return made

    def addNAT(self, name: str = "nat0", *_: Any, **params: Any) -> Any:
        NOTES[f"{name}: a NAT to the network outside is left out"] = None
        return NAT(name, **params)

    def _keep(self, node: Node, where: list[Node]) -> None:
        where.append(node)
        self.nameToNode[node.name] = node

    def addLink(self, node1: Any, node2: Any, port1: Any = None, port2: Any = None,
                cls: Any = None, **params: Any) -> Any:  # fmt: skip
        ends = [node if isinstance(node, Node) else self[node] for node in (node1, node2)]
        if any(isinstance(node, (NAT, Controller)) for node in ends):
            return Anything()
        if self.intf is not None:
            params.setdefault("intf", self.intf)
        one, two = ends
        params |= {"port1": port1, "port2": port2}
        made = (cls or self.link)(one, two, **params)
        if not isinstance(made, Link):
            NOTES["classes of links that are not Mininet's own are taken as TCLink"] = None
            made = TCLink(one, two, **params)
        self.links.append(made)
        return made

    def forget(self, intf: Intf) -> None:
        self.links = [each for each in self.links if intf not in (each.intf1, each.intf2)]

    def delLink(self, link: Any) -> None:
        if link in self.links:
            self.links.remove(link)

    removeLink = delLink

    def linksBetween(self, node1: Node, node2: Node) -> list[Any]:
        return [it for it in self.links if {it.intf1.node, it.intf2.node} == {node1, node2}]

    def delLinkBetween(self, node1: Node, node2: Node, *_: Any, **__: Any) -> list[Any]:
        found = self.linksBetween(node1, node2)
        for each in found:
            self.delLink(each)
        return found

    def build(self) -> None:
        if self.built:
            return
        self.built = True
        if self.topo is not None:
            self.buildFromTopo(self.topo)
        self.configHosts()

    def buildFromTopo(self, topo: Any = None) -> None:
        topo = topo or self.topo
        for name in topo.hosts():
            self.addHost(name, **topo.nodeInfo(name))
        for name in topo.switches():
            info = {key: it for key, it in topo.nodeInfo(name).items() if key != "isSwitch"}
            self.addSwitch(name, **info)
        for _, _, info in topo.links(sort=False, withInfo=True):
            self.addLink(**info)

    def configHosts(self) -> None:
        for host in self.hosts:
            host.configDefault()
            first = host.defaultIntf()
            if first is not None and first.ip is None and host.name in self.automatic:
                first.ip, _, first.prefixLen = self.automatic[host.name].partition("/")

    configureHosts = configHosts

    def start(self) -> None:
        self.build()
        self.begun = self.begun or list(self.links)

    def get(self, *names: str) -> Any:
        found = [self[name] for name in names]
        return found if len(found) != 1 else found[0]

    getNodeByName = get

    def __getitem__(self, name: str) -> Any:
        return self.nameToNode[name]

    def __contains__(self, name: object) -> bool:
        return name in self.nameToNode

    def __iter__(self) -> Iterator[str]:
        return iter(self.nameToNode)

    def __len__(self) -> int:
        return len(self.nameToNode)

    def __bool__(self) -> bool:
        return True

    def keys(self) -> list[str]:
        return list(self.nameToNode)

    def values(self) -> list[Node]:
        return list(self.nameToNode.values())

    def items(self) -> list[tuple[str, Node]]:
        return list(self.nameToNode.items())

    def pingAll(self, *_: Any, **__: Any) -> float:
        return 0.0

    ping = pingPair = pingAll

    def iperf(self, *_: Any, **__: Any) -> list[str]:
        NOTES["iperf between hosts is left out: write it as a workload of an experiment"] = None
        return ["0 bits/sec", "0 bits/sec"]

    def configLinkStatus(self, src: str, dst: str, status: str) -> None:
        NOTES[f"link {src} - {dst} {status}: write it as an event of an experiment"] = None
