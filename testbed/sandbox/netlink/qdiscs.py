"""Queueing disciplines of the wire namespace (linux/rtnetlink.h, tc(8))."""

from __future__ import annotations

import struct
from typing import Final

from testbed.netlink.transport import Netlink
from testbed.sandbox.netlink import queues, tc
from testbed.sandbox.netlink.netem import Parameters, read_parameters
from testbed.sandbox.observation import QdiscState

_GET_QDISCS: Final = tc.request(tc.GETQDISC, 0)
# struct tc_stats: octets, packets, drops, overlimits, rates of octets and packets, length of the
# queue in packets, and in octets
_STATISTICS: Final = struct.Struct("=QIIIIIII")


def read_qdiscs(netlink: Netlink, names: dict[int, str]) -> tuple[QdiscState, ...]:
    """Return all qdiscs of the socket's namespace."""
    return tuple(_read(body, names) for body in netlink.dump(_GET_QDISCS))


def read_netem(netlink: Netlink) -> dict[int, Parameters]:
    """Return the options of every netem qdisc, by the index of its interface."""
    found = (tc.read(body) for body in netlink.dump(_GET_QDISCS))
    return {
        each.index: read_parameters(each.attributes[tc.OPTIONS])
        for each in found
        if each.kind == "netem"
    }


def read_queues(netlink: Netlink) -> dict[int, tuple[str, dict[str, int]]]:
    """Return kind and options of the queues in front of a rate, by the interface's index."""
    found = (tc.read(body) for body in netlink.dump(_GET_QDISCS))
    read = ((each.index, queues.read_parameters(each)) for each in found)
    return {index: queue for index, queue in read if queue is not None}


def _read(body: bytes, names: dict[int, str]) -> QdiscState:
    found = tc.read(body)
    attrs, kind = found.attributes, found.kind
    octets, packets, drops, _, _, _, length, backlog = _STATISTICS.unpack_from(attrs[tc.STATS])
    return QdiscState(
        interface=names[found.index],
        kind=kind,
        parent=found.parent,
        sent_packets=packets,
        sent_bytes=octets,
        dropped=drops,
        queued_packets=length,
        queued_bytes=backlog,
        **_of_queue(kind, attrs.get(tc.XSTATS)),
    )


# The counters of packets without room and of marks: the places of 32-bit numbers in the kind's
# struct (linux/pkt_sched.h: tc_codel_xstats, tc_fq_codel_xstats, tc_pie_xstats, tc_red_xstats).
_XSTATS: Final = {
    "codel": ((5,), (6, 8)),
    "fq_codel": ((2,), (3, 7)),
    "pie": ((7,), (9,)),
    "red": ((1,), (3,)),
}


def _of_queue(kind: str, data: bytes | None) -> dict[str, int]:
    """Return the additional counters of some disciplines."""
    if kind not in _XSTATS or data is None:
        return {}
    numbers = memoryview(bytes(data)).cast("I")
    full, marked = (
        sum(numbers[place] for place in places if place < len(numbers)) for places in _XSTATS[kind]
    )
    return {"overlimit": full, "marked": marked}
