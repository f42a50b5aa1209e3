"""The redirect in the kernel of all frames received on an interface to another interface."""

from __future__ import annotations

import enum
import socket
import struct
from typing import Final

from testbed.netlink import codec
from testbed.netlink.codec import NLM_F_CREATE, NLM_F_EXCL, Request
from testbed.netlink.transport import Netlink
from testbed.sandbox.netlink import tc

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


# The number of each classifier's attribute for actions (linux/pkt_cls.h).
_ACTIONS: Final = {Redirect.MATCHALL: 2, Redirect.U32: 7, Redirect.BPF: 1}
_U32_SEL: Final = 5
# struct tc_u32_sel: terminal (TC_U32_TERMINAL), one key, which matches all packets
_ONE_KEY: Final = struct.pack("=BBB13x4I", 1, 0, 1, 0, 0, 0, 0)
_BPF_OPS_LEN, _BPF_OPS = 4, 5
_FIRST: Final = 1  # the first number, from which TCA_ACT_MAX_PRIO counts
_ACT_KIND, _ACT_OPTIONS = 1, 2
_MIRRED_PARMS: Final = 2
# struct tc_mirred: index, capabilities, action, two reference counters, mirred action, interface
_MIRRED: Final = struct.Struct("=IIiiiiI")
_STOLEN, _EGRESS_REDIRECT = 4, 1  # TC_ACT_STOLEN, TCA_EGRESS_REDIR


def requests(way: Redirect, source: int, target: int) -> list[Request]:
    """Return the requests that redirect frames received on ``source`` to ``target``."""
    ingress = tc.request(
        tc.NEWQDISC,
        NLM_F_CREATE | NLM_F_EXCL,
        codec.text(tc.KIND, "ingress"),
        index=source,
        handle=_INGRESS_HANDLE,
        parent=tc.INGRESS,
    )
    return [ingress, _filter(way, source, target)]


def target_of(netlink: Netlink, source: int) -> int | None:
    """Return the index of the target of a redirect from ``source``, or None if there is none."""
    request = tc.request(tc.GETTFILTER, 0, index=source, parent=_INGRESS_HANDLE)
    for body in netlink.dump(request):
        found = tc.read(body)
        if found.kind in _ACTIONS:
            actions = _ACTIONS[Redirect(found.kind)]
            options = found.attributes.nested(tc.OPTIONS).nested(actions)
            mirred = options.nested(_FIRST).nested(_ACT_OPTIONS).get(_MIRRED_PARMS)
            if mirred is not None:
                return int(_MIRRED.unpack_from(mirred)[-1])
    return None


def _filter(way: Redirect, source: int, target: int) -> Request:
    mirred = _MIRRED.pack(0, 0, _STOLEN, 0, 0, _EGRESS_REDIRECT, target)
    action = codec.nested(
        _FIRST,
        codec.text(_ACT_KIND, "mirred"),
        codec.nested(_ACT_OPTIONS | codec.NESTED, codec.attribute(_MIRRED_PARMS, mirred)),
    )
    number = _ACTIONS[way]
    match way:
        case Redirect.MATCHALL:
            options = codec.nested(number, action)
        case Redirect.U32:
            options = codec.nested(number, action) + codec.attribute(_U32_SEL, _ONE_KEY)
        case Redirect.BPF:
            options = codec.nested(number | codec.NESTED, action)
            options += codec.u16(_BPF_OPS_LEN, len(_MATCH) // 8)
            options += codec.attribute(_BPF_OPS, _MATCH)
    return tc.request(
        tc.NEWTFILTER,
        NLM_F_CREATE | NLM_F_EXCL,
        codec.text(tc.KIND, str(way)),
        codec.nested(tc.OPTIONS, options),
        index=source,
        parent=_INGRESS_HANDLE,
        info=_PRIORITY << 16 | socket.htons(_ETH_P_ALL),
    )
