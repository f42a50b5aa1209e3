"""The kernel's netem: conversion between :class:`~testbed.wire.netem.Netem` and TCA_NETEM_*.

The formats are in linux/pkt_sched.h, their meaning in net/sched/sch_netem.c and tc-netem(8).
"""

from __future__ import annotations

import struct
from array import array
from typing import Final

import msgspec

from testbed.netlink import codec
from testbed.netlink.codec import NLM_F_CREATE, NLM_F_EXCL, Request
from testbed.sandbox.netlink import tc
from testbed.wire.distribution import SCALE, SIZE, table
from testbed.wire.netem import Distribution, FourStates, GilbertElliott, Netem, RandomLoss, Slot

HANDLE: Final = 0x0001_0000  # "1:"
_FOUR_STATES: Final = ("p13", "p31", "p32", "p14", "p23")  # in the order of the struct
_CERTAIN: Final = 0xFFFF_FFFF  # probability 1
_MAX_RATE32: Final = 0xFFFF_FFFF  # octets per second; higher rates need RATE64

# struct tc_netem_qopt: latency and jitter (in ticks, at the ends), limit, loss, gap, duplicate
_QOPT: Final = struct.Struct("=6I")
# TCA_NETEM_*: numbers, and formats of struct tc_netem_corr and the other structs.
_CORR, _DELAY_DIST, _REORDER, _CORRUPT, _LOSS, _RATE = 1, 2, 3, 4, 5, 6
_ECN, _RATE64, _LATENCY64, _JITTER64, _SLOT, _SLOT_DIST = 7, 8, 10, 11, 12, 13
_PRNG_SEED: Final = 14  # Linux 6.6; older kernels ignore it
_LOSS_GI, _LOSS_GE = 1, 2  # NETEM_LOSS_GI: four states, NETEM_LOSS_GE: Gilbert and Elliott
_FIVE: Final = struct.Struct("=5I")
_THREE, _TWO, _FOUR = struct.Struct("=3I"), struct.Struct("=2I"), struct.Struct("=4I")
_RATES: Final = struct.Struct("=IiIi")  # rate, packet overhead, cell size, cell overhead
_SIGNED64, _UNSIGNED64 = struct.Struct("=q"), struct.Struct("=Q")
# struct tc_netem_slot: shortest and longest time, packets, octets, a delay and its jitter
_SLOTS: Final = struct.Struct("=qqiiqq")
_NO_SLOT: Final = (0,) * 6


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """netem's options in the kernel's form: integers; a probability of 1 is 2**32 - 1."""

    limit: int  # packets
    delay_ns: int = 0
    jitter_ns: int = 0
    delay_correlation: int = 0
    loss: int = 0
    loss_correlation: int = 0
    gilbert_elliott: tuple[int, int, int, int] | None = None  # p, r, h, 1-k
    four_states: tuple[int, ...] | None = None  # p13, p31, p32, p14, p23
    duplicate: int = 0
    duplicate_correlation: int = 0
    reorder: int = 0
    reorder_correlation: int = 0
    gap: int = 0
    corrupt: int = 0
    corrupt_correlation: int = 0
    rate: int = 0  # octets per second
    packet_overhead: int = 0
    cell_size: int = 0
    cell_overhead: int = 0
    ecn: int = 0
    slot: tuple[int, ...] = _NO_SLOT  # struct tc_netem_slot


def parameters(netem: Netem, mtu: int) -> Parameters:
    """Return the options for the kernel. The caller refuses ``trace``, which netem lacks."""
    found: dict[str, int] = {}
    if netem.delay is not None:
        found.update(
            delay_ns=netem.delay.delay_ns,
            jitter_ns=netem.delay.jitter_ns,
            delay_correlation=_chance(netem.delay.correlation),
        )
    if netem.rate is not None:
        found.update(
            rate=netem.rate.bits_per_second // 8,
            packet_overhead=netem.rate.packet_overhead,
            cell_size=netem.rate.cell_size,
            cell_overhead=netem.rate.cell_overhead,
        )
    if isinstance(netem.loss, RandomLoss):
        found.update(
            loss=_chance(netem.loss.probability), loss_correlation=_chance(netem.loss.correlation)
        )
    if netem.reorder is not None:
        found["gap"] = netem.reorder.gap or 1
    for name in ("duplicate", "reorder", "corrupt"):
        option = getattr(netem, name)
        if option is not None:
            found[name] = _chance(option.probability)
            found[f"{name}_correlation"] = _chance(option.correlation)
    slot = netem.slot
    return Parameters(
        ecn=int(netem.loss is not None and netem.loss.ecn),
        slot=_NO_SLOT if slot is None else _slot(slot),
        limit=netem.limit_packets(mtu),
        gilbert_elliott=_gilbert_elliott(netem),
        four_states=_four_states(netem),
        **found,
    )


class Place(msgspec.Struct, frozen=True):
    """The place of a qdisc: the handle of its parent and its own handle."""

    parent: int
    handle: int


ROOT: Final = Place(tc.ROOT, HANDLE)


def new_qdisc(index: int, netem: Netem, mtu: int, seed: int, place: Place = ROOT) -> Request:
    """Return the request that adds netem to an interface, by default as its root qdisc."""
    table_ = None if netem.delay is None else table(netem.delay.distribution)
    options = _options(parameters(netem, mtu), table_, seed) + _slot_table(netem)
    return _request(index, options, NLM_F_CREATE | NLM_F_EXCL, place)


def change_qdisc(index: int, netem: Netem, mtu: int, seed: int, place: Place = ROOT) -> Request:
    """Return the request that changes netem in place. Queued packets stay.

    netem keeps some options that a request omits and resets others, so the request contains all of
    them. netem never removes a distribution, so a table of evenly spread values stands for
    "uniform".
    """
    distribution = netem.delay.distribution if netem.delay else Distribution.UNIFORM
    options = _options(parameters(netem, mtu), table(distribution) or uniform_table(), seed)
    options += _slot_table(netem)
    return _request(index, options, 0, place)


def _slot_table(netem: Netem) -> bytes:
    """Return the distribution of slots, even if uniform, because netem never removes one."""
    if netem.slot is None:
        return b""
    spread = table(netem.slot.distribution) or uniform_table()
    return codec.attribute(_SLOT_DIST, spread.tobytes())


def uniform_table() -> array[int]:
    """Return a table that spreads jitter evenly from minus to plus its size."""
    return array("h", ((2 * i + 1) * SCALE // SIZE - SCALE for i in range(SIZE)))


def read_parameters(options: bytes) -> Parameters:
    """Decode the options (TCA_OPTIONS) of a netem qdisc."""
    _, limit, loss, gap, duplicate, _ = _QOPT.unpack_from(options)
    attrs = codec.attributes(options, _QOPT.size)
    delay_corr, loss_corr, dup_corr = _THREE.unpack_from(attrs[_CORR])
    reorder, reorder_corr = _TWO.unpack_from(attrs[_REORDER])
    corrupt, corrupt_corr = _TWO.unpack_from(attrs[_CORRUPT])
    rate, packet_overhead, cell_size, cell_overhead = _RATES.unpack_from(attrs[_RATE])
    models = attrs.nested(_LOSS)
    model, states = models.get(_LOSS_GE), models.get(_LOSS_GI)
    return Parameters(
        limit=limit,
        delay_ns=_SIGNED64.unpack(attrs[_LATENCY64])[0],
        jitter_ns=_SIGNED64.unpack(attrs[_JITTER64])[0],
        delay_correlation=delay_corr,
        loss=loss,
        loss_correlation=loss_corr,
        gilbert_elliott=None if model is None else _FOUR.unpack(model),
        four_states=None if states is None else _FIVE.unpack(states),
        duplicate=duplicate,
        duplicate_correlation=dup_corr,
        reorder=reorder,
        reorder_correlation=reorder_corr,
        gap=gap,
        corrupt=corrupt,
        corrupt_correlation=corrupt_corr,
        rate=attrs.number(_RATE64, rate),
        ecn=attrs.number(_ECN),
        slot=_SLOTS.unpack(attrs[_SLOT]) if _SLOT in attrs else _NO_SLOT,
        packet_overhead=packet_overhead,
        cell_size=cell_size,
        cell_overhead=cell_overhead,
    )


def difference(wanted: Parameters, seen: Parameters) -> tuple[str, str]:
    """Return the differences in words, as wanted and as seen."""
    names = [
        name
        for name in Parameters.__struct_fields__
        if getattr(wanted, name) != getattr(seen, name)
    ]
    wanted_words, seen_words = (
        ", ".join(f"{name} {getattr(each, name)}" for name in names) for each in (wanted, seen)
    )
    return wanted_words, seen_words


def _chance(probability: float) -> int:
    return round(probability * _CERTAIN)


def _gilbert_elliott(netem: Netem) -> tuple[int, int, int, int] | None:
    loss = netem.loss
    if not isinstance(loss, GilbertElliott):
        return None
    h = _CERTAIN - _chance(loss.one_minus_h)
    return _chance(loss.p), _chance(loss.r), h, _chance(loss.one_minus_k)


def _slot(slot: Slot) -> tuple[int, ...]:
    """Return a slot in the kernel's form, which without a table uses only the first two times."""
    delay_ns, jitter_ns = slot.delay_ns, slot.jitter_ns
    if slot.distribution is Distribution.UNIFORM:  # the table that is spread evenly
        delay_ns = (slot.least_ns + slot.most_ns) // 2
        jitter_ns = (slot.most_ns - slot.least_ns) // 2
    return slot.least_ns, slot.most_ns, slot.packets, slot.octets, delay_ns, jitter_ns


def _four_states(netem: Netem) -> tuple[int, ...] | None:
    loss = netem.loss
    if not isinstance(loss, FourStates):
        return None
    return tuple(_chance(getattr(loss, name)) for name in _FOUR_STATES)


def _options(wanted: Parameters, delays: array[int] | None, seed: int) -> bytes:
    """Return TCA_OPTIONS in tc(8)'s order with all options, whether on or off."""
    # LATENCY64 and JITTER64 replace the times in this struct, which are in ticks.
    parts = [_QOPT.pack(0, wanted.limit, wanted.loss, wanted.gap, wanted.duplicate, 0)]
    correlations = (
        wanted.delay_correlation,
        wanted.loss_correlation,
        wanted.duplicate_correlation,
    )
    parts += [
        codec.attribute(_CORR, _THREE.pack(*correlations)),
        codec.attribute(_REORDER, _TWO.pack(wanted.reorder, wanted.reorder_correlation)),
        codec.attribute(_CORRUPT, _TWO.pack(wanted.corrupt, wanted.corrupt_correlation)),
        codec.attribute(_LATENCY64, _SIGNED64.pack(wanted.delay_ns)),
        codec.attribute(_JITTER64, _SIGNED64.pack(wanted.jitter_ns)),
    ]
    if wanted.gilbert_elliott is not None:
        model = codec.attribute(_LOSS_GE, _FOUR.pack(*wanted.gilbert_elliott))
        parts.append(codec.nested(_LOSS | codec.NESTED, model))
    if wanted.four_states is not None:
        states = codec.attribute(_LOSS_GI, _FIVE.pack(*wanted.four_states))
        parts.append(codec.nested(_LOSS | codec.NESTED, states))
    if wanted.rate >= _MAX_RATE32:
        parts.append(codec.attribute(_RATE64, _UNSIGNED64.pack(wanted.rate)))
    rate = min(wanted.rate, _MAX_RATE32)
    sizes = wanted.packet_overhead, wanted.cell_size, wanted.cell_overhead
    parts += [
        codec.attribute(_RATE, _RATES.pack(rate, *sizes)),
        codec.attribute(_PRNG_SEED, _UNSIGNED64.pack(seed)),
        codec.u32(_ECN, wanted.ecn),
        codec.attribute(_SLOT, _SLOTS.pack(*wanted.slot)),
    ]
    if delays is not None:
        parts.append(codec.attribute(_DELAY_DIST, delays.tobytes()))
    return b"".join(parts)


def _request(index: int, options: bytes, flags: int, place: Place) -> Request:
    return tc.request(
        tc.NEWQDISC,
        flags,
        codec.text(tc.KIND, "netem"),
        codec.attribute(tc.OPTIONS, options),
        index=index,
        handle=place.handle,
        parent=place.parent,
    )
