"""What the emulator is told and what it answers: one JSON document per line."""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from testbed.failure import Failure
from testbed.middlebox.box import Box, Work
from testbed.wire.netem import Netem, WireCounters


class Add(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Carry frames between interfaces ``a`` and ``b``.

    What arrives at ``a`` leaves through ``b``, shaped by ``toward_b``, and the other way round.

    :param half_duplex: one frame at a time, in whichever direction.
    :param middlebox: what stands on the wire, the first nearest to ``a``.
    :param nodes: those at the ends ``a`` and ``b``, by the names that the boxes' options have.
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
    """Put new options in force for one direction (``a`` or ``b``), in place."""

    link: str
    toward: str
    netem: Netem


class Begin(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Let traces and flapping begin anew, in all directions at one moment."""


class Read(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Ask for a :class:`Report`."""


Request: TypeAlias = Add | Set | Begin | Read


class Direction(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one direction of a wire.

    :param in_force: of options that change by themselves.
    :param half_duplex: the other direction shares its medium.
    """

    link: str
    toward: str
    netem: Netem
    in_force: Netem
    half_duplex: bool
    counters: WireCounters


class Report(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What all wires have done, and what that cost.

    :param boxes: of each wire that has some: its boxes, and what each has done.
    """

    directions: tuple[Direction, ...]
    boxes: dict[str, tuple[Work, ...]]
    cpu_seconds: float  # user and system time of the emulator
    scheduling: str  # "fifo", "nice" or "normal": how well it can keep time under load


class Done(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The request was carried out."""


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The request was refused and nothing has changed."""

    failure: Failure


Reply: TypeAlias = Report | Done | Failed

END: Final = b"\n"  # JSON text has no raw line breaks
encode: Final = msgspec.json.Encoder().encode
decode_request: Final = msgspec.json.Decoder(Request).decode
decode_reply: Final = msgspec.json.Decoder(Reply).decode
