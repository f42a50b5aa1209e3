"""Queueing disciplines and filters of the wire namespace (linux/rtnetlink.h, tc(8))."""

from __future__ import annotations

from typing import Final

from pyroute2.netlink.rtnl import RTM_GETQDISC
from pyroute2.netlink.rtnl.tcmsg import tcmsg

from testbed.netlink.attributes import Only, attributes
from testbed.netlink.transport import Netlink, decode, encode
from testbed.sandbox.netlink.netem import NetemMessage, Parameters, read_parameters
from testbed.sandbox.netlink.queues import QueueMessage
from testbed.sandbox.netlink.queues import read_parameters as read_parameters_of_queue
from testbed.sandbox.observation import QdiscState


class QdiscMessage(Only, tcmsg):  # type: ignore[misc]
    """A qdisc with its counters."""

    nla_map = ((1, "TCA_KIND", "asciiz"), (3, "TCA_STATS", "stats"), (4, "TCA_XSTATS", "cdata"))


_GET_QDISCS: Final = encode(tcmsg(), RTM_GETQDISC)


def read_qdiscs(netlink: Netlink, names: dict[int, str]) -> tuple[QdiscState, ...]:
    """Return all qdiscs of the socket's namespace."""
    return tuple(_read(decode(QdiscMessage, body), names) for body in netlink.dump(_GET_QDISCS))


def read_netem(netlink: Netlink) -> dict[int, Parameters]:
    """Return the options of every netem qdisc, by the index of its interface."""
    messages = (decode(NetemMessage, body) for body in netlink.dump(_GET_QDISCS))
    return {
        message["index"]: read_parameters(message)
        for message in messages
        if message.get_attr("TCA_KIND") == "netem"
    }


def read_queues(netlink: Netlink) -> dict[int, tuple[str, dict[str, int]]]:
    """Return kind and options of the queues in front of a rate, by the index of their interface."""
    messages = (decode(QueueMessage, body) for body in netlink.dump(_GET_QDISCS))
    found = ((message["index"], read_parameters_of_queue(message)) for message in messages)
    return {index: queue for index, queue in found if queue is not None}


def _read(message: QdiscMessage, names: dict[int, str]) -> QdiscState:
    attrs = attributes(message)
    counters = attrs["TCA_STATS"]
    return QdiscState(
        interface=names[message["index"]],
        kind=attrs["TCA_KIND"],
        parent=message["parent"],
        sent_packets=counters["packets"],
        sent_bytes=counters["bytes"],
        dropped=counters["drop"],
        queued_packets=counters["qlen"],
        queued_bytes=counters["backlog"],
        **_of_queue(attrs["TCA_KIND"], attrs.get("TCA_XSTATS")),
    )


# How a kind counts packets that found no room, and marks: the places of 32-bit numbers in its
# struct (linux/pkt_sched.h: tc_codel_xstats, tc_fq_codel_xstats, tc_pie_xstats, tc_red_xstats).
_XSTATS: Final = {
    "codel": ((5,), (6, 8)),
    "fq_codel": ((2,), (3, 7)),
    "pie": ((7,), (9,)),
    "red": ((1,), (3,)),
}


def _of_queue(kind: str, data: bytes | None) -> dict[str, int]:
    """Return the counters that only some disciplines have."""
    if kind not in _XSTATS or data is None:
        return {}
    numbers = memoryview(bytes(data)).cast("I")
    full, marked = (
        sum(numbers[place] for place in places if place < len(numbers)) for places in _XSTATS[kind]
    )
    return {"overlimit": full, "marked": marked}
