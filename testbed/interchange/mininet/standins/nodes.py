"""Stand-ins for hosts, switches and controllers (mininet/node.py)."""

# ruff: noqa: D102, N802, N803, N815 - names and arguments are Mininet's

from __future__ import annotations

from typing import Any

from testbed.interchange.mininet.standins.anything import Anything
from testbed.interchange.mininet.standins.interfaces import Intf
from testbed.interchange.mininet.standins.noted import COMMANDS, LINKS


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
    """A program that was not started. It appears to have succeeded."""

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
    """A switch. Controllers and OpenFlow have no effect."""

    kind = "switch"
    first_port = 1


class NAT(Node):
    """A gateway to the outside network."""


class Controller(Node):
    """A controller without an effect: our switches learn addresses."""

    kind = "controller"
