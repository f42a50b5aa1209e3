"""The requests and replies of the emulator: one JSON document per line."""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from testbed.failure import Failure
from testbed.middlebox.box import Box, Work
from testbed.wire.netem import Netem, WireCounters


class Add(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Forward frames between interfaces ``a`` and ``b``.

    Frames from ``a`` leave through ``b``, shaped by ``toward_b``, and vice versa.

    :param half_duplex: whether only one frame at a time is on the wire, in either direction.
    :param middlebox: the middleboxes of the wire, the first one nearest to ``a``.
    :param nodes: the nodes at the ends ``a`` and ``b``, by the names in the options of middleboxes.
    """

    link: str
    a: str
    b: str
    mtu: int
    toward_a: Netem
    toward_b: Netem
    seed: int = 0
    offload: bool = False
    half_duplex: bool = False
    middlebox: tuple[Box, ...] = ()
    nodes: tuple[str, str] = ("", "")


class Set(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Apply new options to one direction (``a`` or ``b``) in place."""

    link: str
    toward: str
    netem: Netem


class Begin(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Restart traces and flapping in all directions at one moment."""


class Read(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Request a :class:`Report`."""


Request: TypeAlias = Add | Set | Begin | Read


class Direction(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one direction of a wire.

    :param in_force: the present values of options that change by themselves.
    :param half_duplex: whether both directions share one medium.
    """

    link: str
    toward: str
    netem: Netem
    in_force: Netem
    half_duplex: bool
    counters: WireCounters


class Report(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The counters of all wires, and the CPU time.

    :param boxes: the counters of the middleboxes of each wire with middleboxes.
    """

    directions: tuple[Direction, ...]
    boxes: dict[str, tuple[Work, ...]]
    cpu_seconds: float  # user and system time of the emulator
    scheduling: str  # "fifo", "nice" or "normal": how well it can keep time under load


class Done(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The request was executed."""


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The request was refused and nothing has changed."""

    failure: Failure


Reply: TypeAlias = Report | Done | Failed

END: Final = b"\n"  # JSON text has no raw line breaks
encode: Final = msgspec.json.Encoder().encode
decode_request: Final = msgspec.json.Decoder(Request).decode
decode_reply: Final = msgspec.json.Decoder(Reply).decode
