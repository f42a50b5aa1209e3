"""The effect of a node's commands on a topology: addresses, sysctls, shaping, MPTCP endpoints.

Scripts configure hosts by commands, ``h1.cmd("ifconfig h1-eth1 10.0.1.1/24")``. Commands with a
counterpart in a topology are translated; other commands become notes.
"""

from __future__ import annotations

import ipaddress
import shlex
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from testbed.errors import InputError
from testbed.wire.netem import Netem

# Sysctls of the former out-of-tree kernel, which Linux does not have.
_FORMER: Final = "net.mptcp.mptcp_"
_SILENT: Final = ("arp", "sleep", "true", "cd", "modprobe", "insmod", "killall", "pkill")
_SEGMENTING: Final = {
    "tso": "tso", "tcp-segmentation-offload": "tso", "tx-tcp-segmentation": "tso",
    "gso": "gso", "generic-segmentation-offload": "gso", "tx-generic-segmentation": "gso",
}  # fmt: skip
_FORWARD: Final = ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding")


class Meaning(msgspec.Struct, kw_only=True):
    """The effect of the commands of all nodes.

    The key of an interface is its node and its name, the key of an endpoint its node and its
    address.
    """

    addresses: dict[tuple[str, str], list[str]] = {}
    # Shaping of packets that leave by the interface.
    shaping: dict[tuple[str, str], dict[str, str]] = {}
    without: dict[tuple[str, str], set[str]] = {}  # offloads (tso, gso) that are off
    endpoints: dict[tuple[str, str], list[str]] = {}
    sysctls: dict[str, dict[str, str]] = {}  # by node, like the following fields
    limits: dict[str, dict[str, int]] = {}
    routers: set[str] = set()
    routed: set[str] = set()  # nodes whose routes the script sets
    others: list[tuple[str, str]] = []  # pairs of node and command
    former: set[str] = set()  # sysctls of the out-of-tree kernel

    def segments(self, node: str, interface: str) -> bool:
        """Return whether segments larger than the MTU leave: not with both tso and gso off."""
        return self.without.get((node, interface), set()) != {"tso", "gso"}


def understood(commands: Iterator[tuple[str, str]]) -> Meaning:
    """Return the effect of commands, each with its node, in their order."""
    found = Meaning()
    for node, text in commands:
        for words in _split(text):
            reader = _READERS.get(words[0])
            known = words[0] in _SILENT or (reader is not None and reader(found, node, words))
            if not known:
                found.others.append((node, shlex.join(words)))
    return found


def _split(text: str) -> Iterator[list[str]]:
    """Yield the words of each simple command of a shell command line."""
    try:
        lexer = shlex.shlex(text, posix=True, punctuation_chars=";&|")
        lexer.whitespace_split = True
        words = list(lexer)
    except ValueError:
        words = text.split()
    command: list[str] = []
    for word in [*words, ";"]:
        if word and not set(word) - set(";&|"):
            if command and command != ["sudo"]:
                yield command[1:] if command[0] == "sudo" else command
            command = []
        else:
            command.append(word)


def _ifconfig(found: Meaning, node: str, words: list[str]) -> bool:
    rest = words[2:]
    if not rest or rest[0] in ("up", "down", "mtu", "hw", "txqueuelen", "promisc"):
        return True
    address = rest[0]
    if address in ("0", "0.0.0.0"):  # noqa: S104 - ifconfig's way to take addresses away
        found.addresses.pop((node, words[1]), None)
        return True
    length = ""
    if "netmask" in rest[:-1]:
        length = "/" + rest[rest.index("netmask") + 1]
    text = address + ("" if "/" in address else length)
    return _address(found, (node, words[1]), text, replace=True)


def _address(
    found: Meaning, interface: tuple[str, str], text: str, *, replace: bool = False
) -> bool:
    try:
        address = ipaddress.ip_interface(text if "/" in text else f"{text}/8")
    except ValueError:
        return False
    there = found.addresses.setdefault(interface, [])
    if replace:
        there[:] = [it for it in there if ipaddress.ip_interface(it).version != address.version]
    if str(address) not in there:
        there.append(str(address))
    return True


def _ip(found: Meaning, node: str, words: list[str]) -> bool:
    rest = [word for word in words[1:] if not word.startswith("-")]
    match rest:
        case [a, "add" | "replace", text, "dev", interface, *_] if "address".startswith(a):
            return _address(found, (node, interface), text)
        case [a, "del" | "flush", *_] if "address".startswith(a):
            if "dev" in rest[:-1]:
                found.addresses.pop((node, rest[rest.index("dev") + 1]), None)
            return True
        case ["mptcp", "endpoint", "add", address, *flags]:
            kept = ("subflow", "signal", "backup", "fullmesh", "laminar")
            found.endpoints[node, address] = [flag for flag in flags if flag in kept] or ["subflow"]
            return True
        case ["mptcp", "limits", "set", *pairs]:
            return _limits(found, node, pairs)
        case ["mptcp" | "link" | "l" | "n", *_]:
            return True
        case [n, *_] if "neighbour".startswith(n) or "neighbor".startswith(n):
            return True
        case [r, *_] if "route".startswith(r) or "rule".startswith(r):
            found.routed.add(node)
            return True
    return False


def _limits(found: Meaning, node: str, pairs: list[str]) -> bool:
    names = {"subflow": "subflows", "subflows": "subflows"}
    names |= dict.fromkeys(("add_addr_accepted", "add_addr_accept"), "add_addr_accepted")
    for name, value in zip(pairs[::2], pairs[1::2], strict=False):
        if name not in names or not value.isdecimal():
            return False
        found.limits.setdefault(node, {})[names[name]] = int(value)
    return True


def _route(found: Meaning, node: str, _words: list[str]) -> bool:
    found.routed.add(node)
    return True


def _sysctl(found: Meaning, node: str, words: list[str]) -> bool:
    pairs = [word for word in words[1:] if not word.startswith("-")]
    text = " ".join(pairs)
    name, equals, value = text.partition("=")
    if not equals:
        return True  # the command only reads
    return _set(found, node, name.strip(), value.strip().strip("'\""))


def _echo(found: Meaning, node: str, words: list[str]) -> bool:
    if ">" not in words[:-1]:
        return False
    at = words.index(">")
    file = words[at + 1]
    prefix = "/proc/sys/"
    if not file.startswith(prefix):
        return False
    return _set(found, node, file.removeprefix(prefix).replace("/", "."), " ".join(words[1:at]))


def _set(found: Meaning, node: str, name: str, value: str) -> bool:
    if name.startswith(_FORMER):
        found.former.add(name)
        return True
    if name in _FORWARD:
        if value == "1":
            found.routers.add(node)
        return True
    if not name.startswith("net."):
        return False
    found.sysctls.setdefault(node, {})[name] = value
    return True


def _tc(found: Meaning, node: str, words: list[str]) -> bool:
    if words[1:3] == ["qdisc", "del"] or words[1:3] == ["qdisc", "show"]:
        return True
    if words[1:2] not in (["qdisc"], ["class"]) or "dev" not in words[:-1]:
        return False
    interface = words[words.index("dev") + 1]
    for kind in ("netem", "tbf", "htb"):
        if kind in words:
            rest = words[words.index(kind) + 1 :]
            options = _netem(rest) if kind == "netem" else _rate(rest)
            if options is None:
                return False
            there = found.shaping.setdefault((node, interface), {})
            there.update(options)
            return True
    return False


def _netem(words: list[str]) -> dict[str, str] | None:
    try:
        return Netem.parse(" ".join(words)).options()
    except InputError:
        return None


def _rate(words: list[str]) -> dict[str, str] | None:
    """Return the rate of tbf or of a class of htb; empty for htb itself."""
    if "rate" not in words[:-1]:
        return {}
    return _netem(["rate", words[words.index("rate") + 1].lower()])


def _ethtool(found: Meaning, node: str, words: list[str]) -> bool:
    if words[1:2] not in (["-K"], ["--features"], ["--offload"]):
        return True  # the command only reads, or has no effect on a virtual interface
    off = found.without.setdefault((node, "".join(words[2:3])), set())
    for name, state in zip(words[3::2], words[4::2], strict=False):
        if name in _SEGMENTING:
            (off.add if state == "off" else off.discard)(_SEGMENTING[name])
    return True


_READERS: Final[dict[str, Callable[[Meaning, str, list[str]], bool]]] = {
    "ifconfig": _ifconfig,
    "ip": _ip,
    "route": _route,
    "sysctl": _sysctl,
    "echo": _echo,
    "tc": _tc,
    "ethtool": _ethtool,
}
