"""Sending everything that arrives at one interface out of another, in the kernel."""

from __future__ import annotations

import enum
import socket
import struct
from typing import Any, Final

from pyroute2.netlink import NLM_F_CREATE, NLM_F_EXCL
from pyroute2.netlink.rtnl import RTM_GETTFILTER, RTM_NEWQDISC, RTM_NEWTFILTER, TC_H_INGRESS
from pyroute2.netlink.rtnl.tcmsg import act_mirred, sched_bpf, tcmsg

from testbed.netlink.attributes import Only, OwnMap, attributes
from testbed.netlink.transport import Netlink, Request, decode, encode

_INGRESS_HANDLE: Final = 0xFFFF_0000  # "ffff:"
_ETH_P_ALL: Final = 3
_PRIORITY: Final = 1
# Classic BPF (linux/filter.h): "return -1", which means the packet matches.
_MATCH: Final = struct.pack("=HBBI", 0x06, 0, 0, 0xFFFF_FFFF)


class Redirect(enum.StrEnum):
    """The classifiers that can match every packet, the cheapest first."""

    MATCHALL = "matchall"
    U32 = "u32"
    BPF = "bpf"


class _BpfOptions(OwnMap, sched_bpf.options):  # type: ignore[misc]
    """pyroute2's, with room for a program in classic BPF."""

    nla_map = tuple(
        (
            name,
            {"TCA_BPF_OPS_LEN": "uint16", "TCA_BPF_OPS": "cdata"}.get(name, kind),
        )
        for name, kind in sched_bpf.options.nla_map
    )


class FilterMessage(Only, tcmsg):  # type: ignore[misc]
    """A filter, with as much of it as says where it sends packets."""

    nla_map = ((1, "TCA_KIND", "asciiz"), (2, "TCA_OPTIONS", "options"))

    @staticmethod
    def options(message: Any, *_: object, **__: object) -> Any:
        """Choose the class of TCA_OPTIONS by TCA_KIND, for encoding and for decoding."""
        if message.get_attr("TCA_KIND") == Redirect.BPF:
            return _BpfOptions
        return tcmsg.get_options(message)


def requests(way: Redirect, source: int, target: int) -> list[Request]:
    """Return the requests after which what arrives at ``source`` leaves through ``target``."""
    ingress = encode(
        tcmsg(),
        RTM_NEWQDISC,
        NLM_F_CREATE | NLM_F_EXCL,
        index=source,
        handle=_INGRESS_HANDLE,
        parent=TC_H_INGRESS,
        attrs=[("TCA_KIND", "ingress")],
    )
    return [ingress, _filter(way, source, target)]


def target_of(netlink: Netlink, source: int) -> int | None:
    """Return the index of the interface ``source`` is redirected to; None: it is not."""
    request = encode(tcmsg(), RTM_GETTFILTER, index=source, parent=_INGRESS_HANDLE)
    for body in netlink.dump(request):
        attrs = attributes(decode(FilterMessage, body))
        action = _action_of(attrs.get("TCA_OPTIONS"))
        if action is not None:
            return action
    return None


def _filter(way: Redirect, source: int, target: int) -> Request:
    mirred = act_mirred.get_parameters(
        {"direction": "egress", "action": "redirect", "ifindex": target}
    )
    action = {"attrs": [("TCA_ACT_KIND", "mirred"), ("TCA_ACT_OPTIONS", mirred)]}
    actions = {"attrs": [("TCA_ACT_PRIO_1", action)]}
    options: list[tuple[str, object]]
    match way:
        case Redirect.MATCHALL:
            options = [("TCA_MATCHALL_ACT", actions)]
        case Redirect.U32:
            options = [("TCA_U32_ACT", actions), ("TCA_U32_SEL", {"keys": ["0x0/0x0+0"]})]
        case Redirect.BPF:
            options = [
                ("TCA_BPF_ACT", actions),
                ("TCA_BPF_OPS_LEN", len(_MATCH) // 8),
                ("TCA_BPF_OPS", _MATCH),
            ]
    return encode(
        FilterMessage(),
        RTM_NEWTFILTER,
        NLM_F_CREATE | NLM_F_EXCL,
        index=source,
        parent=_INGRESS_HANDLE,
        info=_PRIORITY << 16 | socket.htons(_ETH_P_ALL),
        attrs=[("TCA_KIND", str(way)), ("TCA_OPTIONS", {"attrs": options})],
    )


def _action_of(options: Any) -> int | None:
    """Return the interface the first action of a filter redirects to."""
    if options is None:
        return None
    for name, value in attributes(options).items():
        if name.endswith("_ACT"):
            action = value.get_attr("TCA_ACT_PRIO_1")
            parameters = action.get_attr("TCA_ACT_OPTIONS").get_attr("TCA_MIRRED_PARMS")
            return int(parameters["ifindex"])
    return None
