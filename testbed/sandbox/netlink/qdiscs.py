"""Queueing disciplines and filters of the wire namespace (linux/rtnetlink.h, tc(8))."""

from __future__ import annotations

from typing import Final

from pyroute2.netlink.rtnl import RTM_GETQDISC
from pyroute2.netlink.rtnl.tcmsg import tcmsg

from testbed.netlink.attributes import Only, attributes
from testbed.netlink.transport import Netlink, decode, encode
from testbed.sandbox.netlink.netem import NetemMessage, Parameters, read_parameters
from testbed.sandbox.observation import QdiscState


class QdiscMessage(Only, tcmsg):  # type: ignore[misc]
    """A qdisc with its counters."""

    nla_map = ((1, "TCA_KIND", "asciiz"), (3, "TCA_STATS", "stats"))


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
    )
