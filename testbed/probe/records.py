"""What a probe writes: one JSON object a line, each with a time, a probe and a node."""

from __future__ import annotations

import msgspec

from testbed.topology.operations import WIRE
from testbed.wire.netem import WireCounters


class Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="probe", omit_defaults=True):
    """Base of all records; each probe's own are subclasses whose tag is the probe's name.

    :param t_ns: CLOCK_MONOTONIC, nanoseconds: when the value was read, or the event was seen.
    :param node: the node it is about.
    """

    t_ns: int
    node: str


class SocketRecord(Record, frozen=True, kw_only=True):
    """Base of what is said about one socket of one process."""

    pid: int
    process: str  # at most 15 characters
    inode: int  # tells sockets apart for as long as they live
    local: str  # "10.0.1.1:5001", "[fd00::1]:5001"
    remote: str


class WireRecord(Record, frozen=True, kw_only=True, tag="wire"):
    """The counters of one direction of a wire.

    Wires answer to whoever holds the sandbox, so these are written there and not by the sampler.
    """

    node: str = WIRE
    link: str
    toward: str  # the node the frames travel to
    counters: WireCounters
