"""The meaning of stack options, as one line each and as JSON Schema."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.tcp.config import TcpConfig
from testbed.workload.stacks import options
from testbed.workload.stacks.model import StackKind
from testbed.workload.stacks.options import (
    KernelMptcpOptions,
    KernelOptions,
    KernelTcpOptions,
)

# The structs that describe options, the most specific first.
_KERNEL: Final = (KernelMptcpOptions, KernelTcpOptions, KernelOptions)
_OURS: Final = (MptcpConfig, TcpConfig)
_PARAM: Final = re.compile(r":param (\w+): (.*?)(?=^:param |\Z)", re.DOTALL | re.MULTILINE)
_TYPES: Final = {bool: "boolean", int: "integer", float: "number", str: "string"}
_SENTENCE: Final = re.compile(r"(?<![A-Z])\. ")  # not after an initial
_MENTIONED: Final = re.compile(r"``(\w+)``")
# Options that our own structs lack, or describe only as a name of a registry.
_OWN: Final = {
    "nodelay": "turn off Nagle's algorithm, which delays small segments",
    "scheduler": "which subflow carries which data",
    "path_manager": "which subflows are opened, and which addresses are announced",
    "congestion": "how much data may be in flight",
    "device": "packet (packet sockets), or TUN interfaces of the node: tun0, tun0+tun1",
    "subflows": "most subflows of a connection, the first included; by default the node's limits",
    "linger": "SO_LINGER with this time; with 0, a close is an abort: RST, or MP_FASTCLOSE",
    "rto_max": "the longest time until a retransmission (RFC 6298, section 2.5)",
}


def schema(kind: StackKind) -> dict[str, Any]:
    """Return the schema of a stack's options in a file."""
    return {
        "type": ["object", "null"],
        "description": kind.summary,
        "properties": {name: option(kind, name) for name in options.names(kind)},
        "additionalProperties": False,
    }


def meanings(kind: StackKind) -> dict[str, str]:
    """Return the options of a stack, each with the first sentence of its description."""
    said = _described(kind)
    return {name: _SENTENCE.split(said.get(name, ""))[0] for name in options.names(kind)}


def option(kind: StackKind, name: str) -> dict[str, Any]:
    """Return the schema of one option of a stack."""
    wanted, _ = typing.get_args(typing.get_type_hints(kind.options)[name])
    found: dict[str, Any] = {"type": _TYPES[wanted]}
    if options.is_size(name) or options.is_time(name):
        found = {"type": ["integer", "string"]}
    elif name in options.OUR_NAMES and not kind.in_kernel:
        names = options.OUR_NAMES[name].summaries().items()
        found = {"anyOf": [{"const": each, "description": summary} for each, summary in names]}
    text = _described(kind).get(name)
    return found if text is None else {"description": text, **found}


def _described(kind: StackKind) -> dict[str, str]:
    """Return the description of each option in the docstrings of the structs."""
    found = {} if kind.in_kernel else dict(_OWN)
    structs = _KERNEL if kind.in_kernel else _OURS
    params = [each for struct in structs for each in _params(struct)]
    for name, text in params:
        found.setdefault(name.removesuffix("_ns"), _plain(text))
    for _, text in params:  # some options are described in the text of another
        for name in _MENTIONED.findall(text):
            found.setdefault(name.removesuffix("_ns"), _plain(text))
    return found


def _params(struct: type[msgspec.Struct]) -> Iterator[tuple[str, str]]:
    for name, text in _PARAM.findall(inspect.getdoc(struct) or ""):
        yield name, " ".join(text.split())


def _plain(text: str) -> str:
    """Return the text of a docstring without its markup."""
    return re.sub(r":\w+:`~?([^`]*)`|``", r"\1", text).rstrip(".")
