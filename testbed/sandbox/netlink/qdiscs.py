"""Queueing disciplines and filters of the wire namespace (linux/rtnetlink.h, tc(8))."""

from __future__ import annotations

from pyroute2.netlink import nlmsg
from pyroute2.netlink.rtnl import RTM_GETQDISC
from pyroute2.netlink.rtnl.tcmsg import tcmsg

from testbed.sandbox.netlink.attributes import Only, attributes
from testbed.sandbox.netlink.netem import NetemMessage, Parameters, read_parameters
from testbed.sandbox.netlink.transport import Netlink
from testbed.sandbox.observation import QdiscState


class QdiscMessage(Only, tcmsg):  # type: ignore[misc]
    """A qdisc with its counters."""

    nla_map = ((1, "TCA_KIND", "asciiz"), (3, "TCA_STATS", "stats"))


def read_qdiscs(netlink: Netlink, names: dict[int, str]) -> tuple[QdiscState, ...]:
    """Return all qdiscs of the socket's namespace."""
    request = tcmsg()
    request["header"] = {"type": RTM_GETQDISC}
    return tuple(_read(each, names) for each in netlink.dump(request, QdiscMessage))


def read_netem(netlink: Netlink) -> dict[int, Parameters]:
    """Return the options of every netem qdisc, by the index of its interface."""
    request = tcmsg()
    request["header"] = {"type": RTM_GETQDISC}
    return {
        message["index"]: read_parameters(message)
        for message in netlink.dump(request, NetemMessage)
        if message.get_attr("TCA_KIND") == "netem"
    }


def _read(message: nlmsg, names: dict[int, str]) -> QdiscState:
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
