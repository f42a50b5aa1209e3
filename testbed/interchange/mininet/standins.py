"""Stand-ins for Mininet's classes.  They note what is asked for, and do nothing.

Names and arguments are Mininet's.  A method that is not here is :class:`Anything`.
"""

# ruff: noqa: ARG002, D102, N802, N803, N815 - names and arguments are Mininet's

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

NETS: list[Mininet] = []
COMMANDS: list[tuple[str | None, str]] = []  # of a node, or of the machine itself
NOTES: dict[str, None] = {}


class _AnyAttribute(type):
    """The class of classes that have any attribute."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything()


class Anything(metaclass=_AnyAttribute):
    """Takes any arguments, has any attribute, holds nothing and is false."""

    def __init__(self, *_arguments: Any, **_parameters: Any) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything()

    def __call__(self, *_arguments: Any, **_parameters: Any) -> Any:
        return Anything()

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __bool__(self) -> bool:
        return False

    def __len__(self) -> int:
        return 0

    def __getitem__(self, key: Any) -> Any:
        return Anything()

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def __delitem__(self, key: Any) -> None:
        pass

    def __int__(self) -> int:
        return 0

    def __enter__(self) -> Anything:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __str__(self) -> str:
        return ""


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


LINKS: list[Link] = []


class TCLink(Link):
    """A link that tc shapes at both ends."""

    interface = TCIntf


TCULink = OVSLink = TCLink


class Node(Anything):
    """A host, a switch or a controller."""

    kind = "host"
    first_port = 0

    def __init__(self, name: str, inNamespace: bool = True, **params: Any) -> None:
        super().__init__()
        self.name, self.params, self.inNamespace = name, params, inNamespace
        self.intfs: dict[int, Intf] = {}
        self.nameToIntf: dict[str, Intf] = {}
        self.waiting, self.pid, self.shell = False, 1, None
        self.cpu = params.get("cpu")

    def newPort(self) -> int:
        return max([*self.intfs, self.first_port - 1]) + 1

    def addIntf(self, intf: Intf, port: int | None = None, *_: Any, **__: Any) -> None:
        self.intfs[self.newPort() if port is None else port] = intf
        self.nameToIntf[intf.name] = intf

    def defaultIntf(self) -> Intf | None:
        return self.intfs[min(self.intfs)] if self.intfs else None

    def intf(self, intf: Any = None) -> Any:
        if intf is None or intf == "":
            return self.defaultIntf()
        if isinstance(intf, Intf):
            return intf
        return next((each for each in self.intfs.values() if each.name == intf), None)

    def intfList(self) -> list[Intf]:
        return [self.intfs[port] for port in sorted(self.intfs)]

    def intfNames(self) -> list[str]:
        return [each.name for each in self.intfList()]

    def connectionsTo(self, node: Node) -> list[tuple[Intf, Intf]]:
        pairs = [(link.intf1, link.intf2) for link in LINKS]
        both = pairs + [(b, a) for a, b in pairs]
        return [(a, b) for a, b in both if a.node is self and b.node is node]

    def cmd(self, *words: Any, **_: Any) -> str:
        text = " ".join(map(str, words[0] if isinstance(words[0:1], list) else words))
        COMMANDS.append((self.name, text))
        return ""

    cmdPrint = sendCmd = execCmd = cmd

    def pexec(self, *words: Any, **_: Any) -> tuple[str, str, int]:
        listed = words and isinstance(words[0], (list, tuple))
        self.cmd(*(words[0] if listed else words))
        return "", "", 0

    def popen(self, *words: Any, **_: Any) -> Any:
        self.pexec(*words)
        return Process()

    def monitor(self, *_: Any, **__: Any) -> str:
        self.waiting = False
        return ""

    waitOutput = monitor

    def setIP(self, ip: str, prefixLen: int = 8, intf: Any = None, **_: Any) -> str:
        found = self.intf(intf)
        return found.setIP(ip, prefixLen) if found is not None else ""

    def IP(self, intf: Any = None) -> Any:
        found = self.intf(intf)
        return None if found is None else found.IP()

    def setMAC(self, mac: str, intf: Any = None) -> str:
        found = self.intf(intf)
        return found.setMAC(mac) if found is not None else ""

    def MAC(self, intf: Any = None) -> Any:
        found = self.intf(intf)
        return None if found is None else found.MAC()

    def setDefaultRoute(self, intf: Any = None) -> None:
        COMMANDS.append((self.name, f"ip route add default {intf}"))

    def setHostRoute(self, ip: str, intf: Any) -> None:
        COMMANDS.append((self.name, f"ip route add {ip} dev {intf}"))

    def config(self, ip: Any = None, mac: Any = None, defaultRoute: Any = None, **_: Any) -> Any:
        if self.intfs and ip:
            self.setIP(ip)
        if self.intfs and mac:
            self.setMAC(mac)
        if defaultRoute:
            self.setDefaultRoute(defaultRoute)
        return {}

    def configDefault(self, **params: Any) -> None:
        self.config(**(self.params | params))

    def terminate(self) -> None:
        pass

    def __bool__(self) -> bool:
        return True

    def __str__(self) -> str:
        return self.name

    __repr__ = __str__


class Process(Anything):
    """A program that was not started: it has ended well."""

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()
        self.returncode, self.pid = 0, 1
        self.stdout = self.stderr = self.stdin = Anything()

    def communicate(self, *_: Any, **__: Any) -> tuple[bytes, bytes]:
        return b"", b""

    def wait(self, *_: Any, **__: Any) -> int:
        return 0

    poll = wait


class Host(Node):
    """A host."""


class CPULimitedHost(Host):
    """A host whose processor time is limited."""


class Switch(Node):
    """A switch; controllers and OpenFlow are not asked."""

    kind = "switch"
    first_port = 1


class NAT(Node):
    """A way to the network outside."""


class Controller(Node):
    """A controller; switches here learn by themselves."""

    kind = "controller"


def _node(cls: Any, usual: type[Node], name: str, params: dict[str, Any]) -> Node:
    """Make a node, of the usual class if the one asked for is in a module without a stand-in."""
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
        self.begun: list[Any] = []  # the links when it was started
        self.nameToNode: dict[str, Node] = {}
        self.hosts: list[Node] = []
        self.switches: list[Node] = []
        self.controllers: list[Node] = []
        self.links: list[Any] = []
        network = ipaddress.ip_network(ipBase, strict=False)
        self._pool, self._length = network.hosts(), network.prefixlen
        self.automatic: dict[str, str] = {}  # the address that Mininet would give to a host
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
