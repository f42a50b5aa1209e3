"""The translation of a Mininet script's network to a topology."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Final

from testbed.document import Data
from testbed.errors import InputError
from testbed.interchange.imports import Imported, Note
from testbed.interchange.mininet.commands import Meaning, understood
from testbed.interchange.mininet.model import Interface, Link, Node, Plain, Recorded
from testbed.topology.ends import MAX_NAME
from testbed.units import format_rate
from testbed.wire.netem import DEFAULT_LIMIT, Netem

MOST_MBIT: Final = 1000  # Mininet ignores a larger bw: TCIntf.bwParamMax
_SHAPING: Final = ("bw", "delay", "jitter", "loss", "max_queue_size")
_NOT_HERE: Final = (
    "use_hfsc", "use_tbf", "latency_ms", "enable_ecn", "enable_red", "speedup", "burst", "cburst"
)  # fmt: skip
# At its start Mininet sets these on the machine (fixLimits in mininet/util.py), and its hosts'
# namespaces inherit them.
_BUFFERS: Final = {
    "net.ipv4.tcp_rmem": "10240 87380 16777216",
    "net.ipv4.tcp_wmem": "10240 87380 16777216",
}
MOST_COMMANDS: Final = 3  # the most commands of a node in a note


def translated(recorded: Recorded, *, origin: str, format: str) -> Imported:  # noqa: A002
    """Return the topology of a network, with notes on everything that it cannot express."""
    return _Translation(recorded).whole(origin, format)


class _Translation:
    def __init__(self, recorded: Recorded) -> None:
        self._recorded = recorded
        self._notes: list[Note] = []
        commands = ((it.node, it.text) for it in recorded.commands if it.node is not None)
        self._said: Meaning = understood(iter(commands))
        self._switches = {it.name for it in recorded.nodes if it.kind == "switch"}
        self._bare: list[str] = []  # interfaces without an address

    def whole(self, origin: str, format: str) -> Imported:  # noqa: A002
        links: dict[str, Data] = {name: self._link(name, link) for name, link in self._named()}
        nodes: dict[str, Data] = {it.name: self._node(it) for it in self._recorded.nodes}
        self._tell()
        data: dict[str, Data] = {"sysctls": dict(_BUFFERS), "nodes": nodes, "links": links}
        return Imported(origin=origin, format=format, data=data, notes=tuple(self._notes))

    def _note(self, where: str, what: str) -> None:
        note = Note(where, what)
        if note not in self._notes:
            self._notes.append(note)

    def _named(self) -> Iterator[tuple[str, Link]]:
        """Yield each link and its name.

        The name is that of both interfaces if they agree, otherwise that of the nodes. Links of
        equal names are numbered.
        """
        seen: dict[str, int] = {}
        for link in self._recorded.links:
            first, second = link.ends
            alike = first.name == second.name
            name = first.name if alike else f"{first.node}-{second.node}"
            seen[name] = seen.get(name, 0) + 1
            yield name if seen[name] == 1 else f"{name}-{seen[name]}", link

    def _node(self, node: Node) -> dict[str, Data]:
        for note in node.notes:
            self._note(node.name, f"{note} has no counterpart")
        if node.kind == "switch":
            return {"kind": "switch"}
        found: dict[str, Data] = {"kind": "router"} if node.name in self._said.routers else {}
        sysctls = self._said.sysctls.get(node.name)
        if sysctls:
            found["sysctls"] = dict(sysctls)
        limits = self._said.limits.get(node.name)
        if limits:
            found["mptcp"] = {"limits": dict(limits)}
        return found

    def _link(self, name: str, link: Link) -> dict[str, Data]:
        between: dict[str, Data] = {end.node: self._end(end) for end in link.ends}
        first, second = (self._shaping(name, end, link) for end in link.ends)
        found: dict[str, Data] = {"between": between}
        if self._offloaded(name, link, "corrupt" in first or "corrupt" in second):
            found["offload"] = True
        if first or second:
            found["shaper"] = "sender"
        if first == second:
            return found | ({"netem": first} if first else {})
        toward = {link.ends[1].node: first, link.ends[0].node: second}
        return found | {"toward": {node: options for node, options in toward.items() if options}}

    def _offloaded(self, name: str, link: Link, corrupting: bool) -> bool:
        """Return whether segments larger than the MTU cross the link. Scripts can disable this.

        If they do, a queue and a loss model handle each segment as one packet.
        """
        if not all(self._said.segments(end.node, end.name) for end in link.ends):
            return False
        if corrupting:
            self._note(name, "corrupts, so that no segments larger than the MTU cross it here")
        return not corrupting

    def _end(self, end: Interface) -> dict[str, Data]:
        if end.node in self._switches:
            return {}
        found: dict[str, Data] = {}
        if len(end.name) <= MAX_NAME:
            found["interface"] = end.name
        else:
            self._note(end.name, f"is longer than {MAX_NAME} characters: named after its link")
        said = self._said.addresses.get((end.node, end.name))
        addresses = end.addresses if said is None else said
        if addresses:
            found["addresses"] = list(addresses)
        elif end.name != f"{end.node}-eth0":
            self._bare.append(end.name)
        flags = [
            flag
            for address in addresses
            for flag in self._said.endpoints.get((end.node, _host(address)), ())
        ]
        if flags:
            found["endpoint"] = list(dict.fromkeys(flags))
        return found

    def _shaping(self, name: str, end: Interface, link: Link) -> dict[str, Data]:
        """Return the options of the direction of packets that leave by an interface."""
        options: dict[str, str] = {}
        params = end.params
        given = [key for key in _SHAPING if params.get(key) is not None]
        if given and not link.shaped:
            self._note(name, f"{', '.join(given)} taken over, which Mininet ignores without TCLink")
        try:
            options = _options(params)
            said = self._said.shaping.get((end.node, end.name), {})
            options = Netem.parse(options | said).options()
        except InputError as error:
            raise InputError(f"link {name}, {end.name}: {error}") from None
        rate = params.get("bw")
        if isinstance(rate, (int, float)) and rate > MOST_MBIT:
            self._note(name, f"bw={rate} taken over, which Mininet ignores above {MOST_MBIT}")
        for key in _NOT_HERE:
            if params.get(key):
                self._note(name, f"{key}={params[key]} has no counterpart")
        if options.get("limit") == str(DEFAULT_LIMIT):
            del options["limit"]
        return {key: int(it) if it.isdecimal() else it for key, it in options.items()}

    def _tell(self) -> None:
        """Add the notes that concern more than one place."""
        said, recorded = self._said, self._recorded
        if recorded.error is not None:
            what = f"the script failed after it had built the network: {recorded.error}"
            self._note("", f"{what}; the rest of the script is missing")
        for text in recorded.notes:
            self._note("", text)
        if self._bare:
            what = "no address in Mininet, an automatic one here"
            self._note(", ".join(self._bare), what)
        if said.routed:
            what = (
                "routes and rules left out: testbed derives them from the links, by source address"
            )
            self._note(", ".join(sorted(said.routed)), what)
        if said.former:
            what = "sysctls of the out-of-tree MPTCP kernel left out: Linux's MPTCP has endpoints"
            self._note(", ".join(sorted(said.former)), what)
        others: dict[str, list[str]] = {}
        for node, text in said.others:
            others.setdefault(node, []).append(text)
        for node, texts in others.items():
            self._note(node, _listed("programs left out: write a workload or events", texts))
        machine = [it.text for it in recorded.commands if it.node is None]
        if machine:
            self._note("this machine", _listed("commands left out, none was run", machine))


def _listed(what: str, texts: list[str]) -> str:
    shown = ", ".join(f"`{text}`" for text in dict.fromkeys(texts[:MOST_COMMANDS]))
    more = len(texts) - MOST_COMMANDS
    return f"{what}: {shown}" + (f" and {more} more" if more > 0 else "")


def _options(params: dict[str, Plain]) -> dict[str, str]:
    """Return tc's parameters of an interface as netem options."""
    options: dict[str, str] = {}
    rate = params.get("bw")
    if rate is not None:
        options["rate"] = format_rate(round(float(rate) * 1e6))
    if params.get("delay") is not None:
        options["delay"] = _time(params["delay"])
        if params.get("jitter") is not None:
            options["delay"] += f" {_time(params['jitter'])}"
    if params.get("loss"):
        options["loss"] = f"{params['loss']}%"
    if params.get("max_queue_size") is not None:
        options["limit"] = str(params["max_queue_size"])
    return options


def _host(address: str) -> str:
    """Return an address without its prefix length."""
    return str(ipaddress.ip_interface(address).ip)


def _time(value: Plain) -> str:
    """Return a time. A bare number is in microseconds, as in tc."""
    text = str(value).strip()
    return f"{text}us" if text.replace(".", "", 1).isdecimal() else text
