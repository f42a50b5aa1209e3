"""The network of a Mininet script, as values that the process of the script sends."""

from __future__ import annotations

from typing import Literal

import msgspec

Plain = str | int | float | bool | None


class Interface(msgspec.Struct, kw_only=True):
    """One end of a link.

    :param addresses: the addresses with prefix length, from the script or a parameter.
    :param params: the parameters of tc, such as bw and delay, for packets that leave here.
    """

    node: str
    name: str
    addresses: list[str] = []
    params: dict[str, Plain] = {}


class Link(msgspec.Struct, kw_only=True):
    """A link. ``shaped`` is whether its class uses the parameters of tc."""

    ends: tuple[Interface, Interface]
    shaped: bool


class Node(msgspec.Struct, kw_only=True):
    """A host or a switch. ``notes`` are requests without a counterpart."""

    name: str
    kind: Literal["host", "switch"]
    notes: list[str] = []


class Command(msgspec.Struct, frozen=True):
    """A command that the script gave to a node, or without a node to the machine itself."""

    node: str | None
    text: str


class Recorded(msgspec.Struct, kw_only=True):
    """The network of a script.

    :param error: the error of the script after it had built the network.
    :param choices: the topologies that the script defines, if it built none.
    """

    nodes: list[Node] = []
    links: list[Link] = []
    commands: list[Command] = []
    notes: list[str] = []
    error: str | None = None
    choices: list[str] = []
    found: bool = False
