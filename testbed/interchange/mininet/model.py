"""The network of a Mininet script, as values that cross from the process that runs it."""

from __future__ import annotations

from typing import Literal

import msgspec

Plain = str | int | float | bool | None


class Interface(msgspec.Struct, kw_only=True):
    """One end of a link.

    :param addresses: with prefix length, as the script or a parameter gave them.
    :param params: of tc: bw, delay and so on; they shape what leaves here.
    """

    node: str
    name: str
    addresses: list[str] = []
    params: dict[str, Plain] = {}


class Link(msgspec.Struct, kw_only=True):
    """A link.  ``shaped``: its class obeys the parameters of tc."""

    ends: tuple[Interface, Interface]
    shaped: bool


class Node(msgspec.Struct, kw_only=True):
    """A host or a switch; ``notes`` say what was asked of it that is not here."""

    name: str
    kind: Literal["host", "switch"]
    notes: list[str] = []


class Command(msgspec.Struct, frozen=True):
    """A command that a node was to run; without a node, one of the machine itself."""

    node: str | None
    text: str


class Recorded(msgspec.Struct, kw_only=True):
    """A script's network.

    :param error: what the script failed with after it had built the network.
    :param choices: the topologies that it defines, if none was built.
    """

    nodes: list[Node] = []
    links: list[Link] = []
    commands: list[Command] = []
    notes: list[str] = []
    error: str | None = None
    choices: list[str] = []
    found: bool = False
