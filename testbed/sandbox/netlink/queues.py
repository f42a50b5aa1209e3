"""Queues in front of a rate as qdiscs: htb, below it netem, and below netem the discipline.

netem alone is not enough, because it passes a packet to its child after the wait for the rate, so
that no packet ever waits in the child. So the rate is a class of htb (tc-htb(8)), which takes a
packet out of the discipline when it may send. netem keeps delay, loss and other options. After the
delay of netem a packet waits in the discipline. The formats are in linux/pkt_sched.h.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Final

import msgspec

from testbed.netlink import codec
from testbed.netlink.codec import NLM_F_CREATE, NLM_F_EXCL, Request, attribute
from testbed.netlink.transport import Netlink
from testbed.sandbox.netlink import tc
from testbed.wire.netem import ETHERNET_HEADER, UNLIMITED, Limit, Netem, Rate
from testbed.wire.queues import grammar
from testbed.wire.queues.kinds import Codel, FqCodel, Pie, Queue, Red, kind_of

HTB: Final = 0x0001_0000  # "1:"
CLASS: Final = 0x0001_0001
NETEM: Final = 0x0010_0000  # "10:"
QUEUE: Final = 0x0020_0000  # "20:"
QDISCS: Final = {
    "fifo": "pfifo",
    "codel": "codel",
    "fq_codel": "fq_codel",
    "pie": "pie",
    "red": "red",
}

_TICK: Final = 6  # a tick of the packet scheduler is 2**6 ns (PSCHED_SHIFT)
_CODEL_TICK: Final = 10  # CODEL_SHIFT
_CERTAIN: Final = 0xFFFF_FFFF
# The kernel converts it to CODEL_DISABLED_THRESHOLD, INT_MAX of codel's ticks.
_NEVER_US: Final = 2_199_023_255
_MAX_RATE32: Final = 0xFFFF_FFFF
_ETHERNET, _ATM = 1, 2  # TC_LINKLAYER_*
_ATM_CELL: Final = (48, 5)  # the only cell size that htb supports
_LONGEST_JIFFY_US: Final = 10_000
_U32: Final = struct.Struct("=I")
_HTB_OPT: Final = struct.Struct("=BBHhHI BBHhHI IIIII")
_RED_QOPT: Final = struct.Struct("=IIIBBBB")

# The numbers of the attributes in TCA_OPTIONS.
_CODEL: Final = ("target", "limit", "interval", "ecn", "ce_threshold")
_FQ_CODEL: Final = (
    *("target", "limit", "interval", "ecn", "flows", "quantum", "ce_threshold", "drop_batch"),
)
_PIE: Final = ("target", "limit", "tupdate", "alpha", "beta", "ecn", "bytemode")
_RED_PARMS, _RED_STAB, _RED_MAX_P = 1, 2, 3
_HTB_PARMS, _HTB_INIT, _HTB_RATE64, _HTB_CEIL64 = 1, 2, 6, 7


class Shaper(msgspec.Struct, frozen=True, kw_only=True):
    """The class of htb. ``rate`` is in octets per second, ``buffer`` is the bucket in ticks."""

    rate: int
    overhead: int = 0
    link_layer: int = _ETHERNET
    buffer: int = 0


def cannot_shape(rate: Rate) -> str | None:
    """Return why htb does not support a rate, or None if it does."""
    if rate.packet_overhead < 0 or rate.packet_overhead > 0xFFFF:
        return f"an overhead of {rate.packet_overhead} octets"
    if rate.cell_size and (rate.cell_size, rate.cell_overhead) != _ATM_CELL:
        return f"cells of {rate.cell_size} and {rate.cell_overhead} octets"
    return None


def shaper(rate: Rate) -> Shaper:
    """Return the class of htb for a rate."""
    octets = rate.bits_per_second // 8
    return Shaper(
        rate=octets,
        overhead=rate.packet_overhead,
        link_layer=_ATM if rate.cell_size else _ETHERNET,
        buffer=rate.burst * 10**9 // octets >> _TICK,
    )


def without_queue(netem: Netem) -> Netem:
    """Return the options of netem itself on a wire with a queue."""
    return msgspec.structs.replace(netem, rate=None, queue=None, limit=Limit(value=UNLIMITED))


def new_shaper(index: int, rate: Rate, mtu: int) -> list[Request]:
    """Return the requests that add htb as the root qdisc of an interface."""
    # The filter puts all packets into the only class.
    glob = struct.pack("=IIIII", 3, 10, CLASS & 0xFFFF, 0, 0)
    return [
        _qdisc(index, "htb", HTB, tc.ROOT, attribute(_HTB_INIT, glob), NLM_F_CREATE | NLM_F_EXCL),
        change_shaper(index, rate, mtu, NLM_F_CREATE | NLM_F_EXCL),
    ]


def change_shaper(index: int, rate: Rate, mtu: int, flags: int = 0) -> Request:
    """Return the request that sets the rate."""
    it = shaper(rate)
    low = min(it.rate, _MAX_RATE32)
    spec = (0, it.link_layer, it.overhead, 0, 0, low)
    # A quantum has an effect between classes only. Without one, the kernel warns of its default.
    options = _HTB_OPT.pack(*spec, *spec, it.buffer, it.buffer, mtu + ETHERNET_HEADER, 0, 0)
    data = attribute(_HTB_PARMS, options)
    if it.rate >= _MAX_RATE32:
        octets = struct.pack("=Q", it.rate)
        data += attribute(_HTB_RATE64, octets) + attribute(_HTB_CEIL64, octets)
    return tc.request(
        tc.NEWTCLASS,
        flags,
        codec.text(tc.KIND, "htb"),
        attribute(tc.OPTIONS, data),
        index=index,
        handle=CLASS,
        parent=HTB,
    )


def read_shaper(netlink: Netlink, index: int) -> Shaper | None:
    """Return the class of htb of an interface, or None if there is none."""
    for body in netlink.dump(tc.request(tc.GETTCLASS, 0, index=index)):
        each = tc.read(body)
        if each.handle == CLASS and each.kind == "htb":
            found = each.attributes.nested(tc.OPTIONS)
            fields = _HTB_OPT.unpack(found[_HTB_PARMS][: _HTB_OPT.size])
            _, link_layer, overhead, _, _, rate = fields[:6]
            if _HTB_RATE64 in found:
                (rate,) = struct.unpack("=Q", found[_HTB_RATE64])
            return Shaper(
                rate=rate, overhead=overhead, link_layer=link_layer & 0xF, buffer=fields[12]
            )
    return None


def try_out(index: int, qdisc: str) -> Request:
    """Return the request that adds a qdisc as the root of an interface, to test if it exists."""
    if qdisc == "htb":
        data = attribute(_HTB_INIT, struct.pack("=IIIII", 3, 10, 1, 0, 0))
    else:
        kind = next(kind for kind, name in QDISCS.items() if name == qdisc)
        queue = grammar.read("red limit 100kb" if kind == "red" else kind)
        netem = Netem(queue=queue, rate=Rate(bits_per_second=10**6))
        data = _packed(queue, parameters(netem, 1500), netem.rate)
    return _qdisc(index, qdisc, QUEUE, tc.ROOT, data, NLM_F_CREATE | NLM_F_EXCL)


def new_queue(index: int, netem: Netem, mtu: int) -> Request:
    """Return the request that adds the discipline below netem."""
    return _queue(index, netem, mtu, NLM_F_CREATE | NLM_F_EXCL)


def change_queue(index: int, netem: Netem, mtu: int) -> Request:
    """Return the request that changes the discipline's options in place. Queued packets stay."""
    return _queue(index, netem, mtu, 0)


def parameters(netem: Netem, mtu: int) -> dict[str, int]:
    """Return the options for the kernel by name. Times are in microseconds."""
    queue = netem.queue
    assert queue is not None  # noqa: S101 - asked by the caller
    if isinstance(queue, Red):
        least, most = queue.thresholds
        flags = queue.ecn | queue.harddrop << 1  # TC_RED_*
        chance = round(queue.probability * _CERTAIN)
        return {
            "limit": queue.limit,
            "min": least,
            "max": most,
            "weight": queue.weight_log,
            "flags": flags,
            "probability": chance,
        }
    if isinstance(queue, Codel | FqCodel):
        found = _codel(queue)
        if isinstance(queue, FqCodel):
            quantum = queue.quantum or mtu + ETHERNET_HEADER
            found |= {"flows": queue.flows, "quantum": quantum, "drop_batch": queue.drop_batch}
        return found
    if isinstance(queue, Pie):
        numbers = {name: int(getattr(queue, name)) for name in ("limit", "alpha", "beta", "ecn")}
        times = {name: getattr(queue, name) // 1000 for name in ("target", "tupdate")}
        return numbers | times | {"bytemode": int(queue.bytemode)}
    rate = netem.rate.bits_per_second if netem.rate else 0
    return {"limit": netem.queue_packets(mtu, bits_per_second=rate)}


def read_parameters(found: tc.Found) -> tuple[str, dict[str, int]] | None:
    """Return kind and options of a discipline, or None if it is not of this module."""
    names = {qdisc: kind for kind, qdisc in QDISCS.items()}
    kind = names.get(found.kind)
    data = found.attributes.get(tc.OPTIONS)
    if kind is None or data is None or found.handle != QUEUE:
        return None
    return kind, _parsed(kind, data)


def agree(wanted: Mapping[str, int], seen: Mapping[str, int], kind: str) -> bool:
    """Return whether the kernel has the wanted options. It rounds times to its own ticks."""
    return all(_agree(name, value, seen.get(name), kind) for name, value in wanted.items())


def _agree(name: str, wanted: int, seen: int | None, kind: str) -> bool:
    if seen is None:
        return False
    if kind in ("codel", "fq_codel") and name in ("target", "interval", "ce_threshold"):
        return seen == (wanted * 1000 >> _CODEL_TICK << _CODEL_TICK) // 1000
    if (kind, name) == ("pie", "target"):
        return seen == (wanted * 1000 >> _TICK << _TICK) // 1000
    if (kind, name) == ("pie", "tupdate"):  # rounded up to jiffies
        return wanted <= seen <= wanted + _LONGEST_JIFFY_US
    return seen == wanted


def _codel(queue: Codel | FqCodel) -> dict[str, int]:
    found = {"limit": queue.limit, "ecn": int(queue.ecn)}
    found |= {name: getattr(queue, name) // 1000 for name in ("target", "interval", "ce_threshold")}
    return found


def _queue(index: int, netem: Netem, mtu: int, flags: int) -> Request:
    assert netem.queue is not None  # noqa: S101 - asked by the caller
    queue = netem.queue
    wanted = parameters(netem, mtu)
    if not flags:
        wanted.pop("flows", None)  # cannot be changed: the kernel refuses even an equal value
    data = _packed(queue, wanted, netem.rate)
    return _qdisc(index, QDISCS[kind_of(queue)], QUEUE, NETEM | 1, data, flags)


def _packed(queue: Queue, wanted: Mapping[str, int], rate: Rate | None) -> bytes:
    """Return TCA_OPTIONS of a discipline."""
    if isinstance(queue, Red):
        damping_log, damping = _idle_damping(queue, rate)
        order = ("limit", "min", "max", "weight")
        options = _RED_QOPT.pack(*(wanted[name] for name in order), 0, damping_log, wanted["flags"])
        return (
            attribute(_RED_PARMS, options)
            + attribute(_RED_STAB, damping)
            + attribute(_RED_MAX_P, _U32.pack(wanted["probability"]))
        )
    names = {"codel": _CODEL, "fq_codel": _FQ_CODEL, "pie": _PIE}.get(kind_of(queue))
    if names is None:
        return _U32.pack(wanted["limit"])  # struct tc_fifo_qopt
    values = wanted
    if not wanted.get("ce_threshold", 1):
        values = {**wanted, "ce_threshold": _NEVER_US}  # if omitted, the kernel keeps the old value
    return b"".join(
        attribute(number, _U32.pack(values[name]))
        for number, name in enumerate(names, 1)
        if name in values
    )


def _parsed(kind: str, data: bytes) -> dict[str, int]:
    if kind == "fifo":
        return {"limit": _U32.unpack_from(data)[0]}
    found = codec.attributes(data, 0)
    if kind == "red":
        limit, least, most, weight, _, _, flags = _RED_QOPT.unpack(found[_RED_PARMS])
        (chance,) = _U32.unpack(found[_RED_MAX_P])
        return {
            "limit": limit,
            "min": least,
            "max": most,
            "weight": weight,
            "flags": flags,
            "probability": chance,
        }
    names = {"codel": _CODEL, "fq_codel": _FQ_CODEL, "pie": _PIE}[kind]
    values = {
        name: _U32.unpack(found[number])[0]
        for number, name in enumerate(names, 1)
        if number in found
    }
    if values.get("ce_threshold", _NEVER_US) == _NEVER_US:
        values["ce_threshold"] = 0
    return values


def _idle_damping(queue: Red, rate: Rate | None) -> tuple[int, bytes]:
    """Return Scell_log and Stab: the right shift of the average in bits for an idle time.

    The kernel's index to Stab is the idle time in microseconds divided by 2**Scell_log.
    """
    bits_per_second = rate.bits_per_second if rate else 1
    packet_us = queue.avpkt * 8e6 / bits_per_second
    bits_per_us = -math.log2(1 - 2.0**-queue.weight_log) / packet_us
    log = next(log for log in range(32) if 31 / bits_per_us / 2**log < 255 or log == 31)
    cells = (min(31, int((cell << log) * bits_per_us)) for cell in range(255))
    return log, bytes([*cells, 31])


def _qdisc(index: int, kind: str, handle: int, parent: int, options: bytes, flags: int) -> Request:
    return tc.request(
        tc.NEWQDISC,
        flags,
        codec.text(tc.KIND, kind),
        attribute(tc.OPTIONS, options),
        index=index,
        handle=handle,
        parent=parent,
    )
