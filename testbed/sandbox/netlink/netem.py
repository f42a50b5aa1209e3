"""The kernel's netem: :class:`~testbed.wire.netem.Netem` to TCA_NETEM_* and back.

Formats: linux/pkt_sched.h; meaning: net/sched/sch_netem.c and tc-netem(8).
"""

from __future__ import annotations

from array import array
from typing import Any, Final

import msgspec
from pyroute2.netlink import NLA_F_NESTED, NLM_F_CREATE, NLM_F_EXCL, nla
from pyroute2.netlink.rtnl import RTM_NEWQDISC, TC_H_ROOT
from pyroute2.netlink.rtnl.tcmsg import sched_netem, tcmsg

from testbed.netlink.attributes import OwnMap, attributes
from testbed.netlink.transport import Request, encode
from testbed.wire.distribution import SCALE, SIZE, table
from testbed.wire.netem import Distribution, GilbertElliott, Netem, RandomLoss

HANDLE: Final = 0x0001_0000  # "1:"
_CERTAIN: Final = 0xFFFF_FFFF  # probability 1
_MAX_RATE32: Final = 0xFFFF_FFFF  # octets per second; more goes into RATE64


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """netem's options as the kernel holds them: whole numbers, probabilities of 2**32 - 1."""

    limit: int  # packets
    delay_ns: int = 0
    jitter_ns: int = 0
    delay_correlation: int = 0
    loss: int = 0
    loss_correlation: int = 0
    gilbert_elliott: tuple[int, int, int, int] | None = None  # p, r, h, 1-k
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


class NetemMessage(OwnMap, tcmsg):  # type: ignore[misc]
    """A qdisc message whose options are netem's, with the attributes pyroute2 leaves out."""

    nla_map = tuple(
        (name, "netem" if name == "TCA_OPTIONS" else kind) for name, kind in tcmsg.nla_map
    )

    class netem(OwnMap, sched_netem.options):  # type: ignore[misc] # noqa: N801 - pyroute2 looks it up by this name
        """TCA_OPTIONS of netem."""

        nla_map = (
            (0, "TCA_NETEM_UNSPEC", "none"),
            (1, "TCA_NETEM_CORR", "netem_corr"),
            (2, "TCA_NETEM_DELAY_DIST", "cdata"),
            (3, "TCA_NETEM_REORDER", "netem_reorder"),
            (4, "TCA_NETEM_CORRUPT", "netem_corrupt"),
            (5, "TCA_NETEM_LOSS", "netem_loss"),
            (6, "TCA_NETEM_RATE", "netem_rate"),
            (7, "TCA_NETEM_ECN", "uint32"),
            (8, "TCA_NETEM_RATE64", "uint64"),
            (9, "TCA_NETEM_PAD", "none"),
            (10, "TCA_NETEM_LATENCY64", "int64"),
            (11, "TCA_NETEM_JITTER64", "int64"),
            (12, "TCA_NETEM_SLOT", "none"),
            (13, "TCA_NETEM_SLOT_DIST", "none"),
            (14, "TCA_NETEM_PRNG_SEED", "uint64"),  # Linux 6.6; older kernels skip it
        )

        class netem_loss(OwnMap, nla):  # type: ignore[misc] # noqa: N801
            """TCA_NETEM_LOSS."""

            nla_flags = NLA_F_NESTED
            nla_map = ((2, "NETEM_LOSS_GE", "gemodel"),)

            class gemodel(OwnMap, nla):  # type: ignore[misc] # noqa: N801
                """``struct tc_netem_gemodel``; the kernel wants h where tc(8) takes 1-h."""

                fields = (("p", "I"), ("r", "I"), ("h", "I"), ("k1", "I"))


def parameters(netem: Netem, mtu: int) -> Parameters:
    """Return what the kernel shall hold.  ``trace`` is not netem's: the caller refuses it."""
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
    return Parameters(
        limit=netem.limit_packets(mtu), gilbert_elliott=_gilbert_elliott(netem), **found
    )


class Place(msgspec.Struct, frozen=True):
    """Where a qdisc stands: below which handle, and its own handle."""

    parent: int
    handle: int


ROOT: Final = Place(TC_H_ROOT, HANDLE)


def new_qdisc(index: int, netem: Netem, mtu: int, seed: int, place: Place = ROOT) -> Request:
    """Return the request that gives an interface netem, by default as its root qdisc."""
    table_ = None if netem.delay is None else table(netem.delay.distribution)
    options = _options(parameters(netem, mtu), table_, seed)
    return _request(index, options, NLM_F_CREATE | NLM_F_EXCL, place)


def change_qdisc(index: int, netem: Netem, mtu: int, seed: int, place: Place = ROOT) -> Request:
    """Return the request that changes netem in place; what it holds stays.

    netem keeps some options it is not told about and forgets others, so all are told.  It never
    gives a distribution up: "uniform" is then told as a table of evenly spread values.
    """
    distribution = netem.delay.distribution if netem.delay else Distribution.UNIFORM
    options = _options(parameters(netem, mtu), table(distribution) or uniform_table(), seed)
    return _request(index, options, 0, place)


def uniform_table() -> array[int]:
    """Return a table that spreads jitter evenly over plus and minus its size."""
    return array("h", ((2 * i + 1) * SCALE // SIZE - SCALE for i in range(SIZE)))


def read_parameters(message: NetemMessage) -> Parameters:
    """Return what a dumped netem qdisc (a :class:`NetemMessage`) holds."""
    options = message.get_attr("TCA_OPTIONS")
    attrs = attributes(options)
    correlation = attrs["TCA_NETEM_CORR"]
    reorder, corrupt = attrs["TCA_NETEM_REORDER"], attrs["TCA_NETEM_CORRUPT"]
    rate = attrs["TCA_NETEM_RATE"]
    return Parameters(
        limit=options["limit"],
        delay_ns=attrs["TCA_NETEM_LATENCY64"],
        jitter_ns=attrs["TCA_NETEM_JITTER64"],
        delay_correlation=correlation["delay_corr"],
        loss=options["loss"],
        loss_correlation=correlation["loss_corr"],
        gilbert_elliott=_read_gilbert_elliott(attrs.get("TCA_NETEM_LOSS")),
        duplicate=options["duplicate"],
        duplicate_correlation=correlation["dup_corr"],
        reorder=reorder["prob_reorder"],
        reorder_correlation=reorder["corr_reorder"],
        gap=options["gap"],
        corrupt=corrupt["prob_corrupt"],
        corrupt_correlation=corrupt["corr_corrupt"],
        rate=attrs.get("TCA_NETEM_RATE64", rate["rate"]),
        packet_overhead=rate["packet_overhead"],
        cell_size=rate["cell_size"],
        cell_overhead=rate["cell_overhead"],
    )


def difference(wanted: Parameters, seen: Parameters) -> tuple[str, str]:
    """Return in words what differs: as wanted, and as seen."""
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


def _read_gilbert_elliott(loss: Any) -> tuple[int, int, int, int] | None:
    model = None if loss is None else attributes(loss).get("NETEM_LOSS_GE")
    return None if model is None else (model["p"], model["r"], model["h"], model["k1"])


def _options(wanted: Parameters, delays: array[int] | None, seed: int) -> dict[str, Any]:
    """Return TCA_OPTIONS in tc(8)'s order, naming every option that is on or off."""
    attrs: list[tuple[str, object]] = [
        (
            "TCA_NETEM_CORR",
            {
                "delay_corr": wanted.delay_correlation,
                "loss_corr": wanted.loss_correlation,
                "dup_corr": wanted.duplicate_correlation,
            },
        ),
        (
            "TCA_NETEM_REORDER",
            {"prob_reorder": wanted.reorder, "corr_reorder": wanted.reorder_correlation},
        ),
        (
            "TCA_NETEM_CORRUPT",
            {"prob_corrupt": wanted.corrupt, "corr_corrupt": wanted.corrupt_correlation},
        ),
        ("TCA_NETEM_LATENCY64", wanted.delay_ns),
        ("TCA_NETEM_JITTER64", wanted.jitter_ns),
    ]
    if wanted.gilbert_elliott is not None:
        model = dict(zip(("p", "r", "h", "k1"), wanted.gilbert_elliott, strict=True))
        attrs.append(("TCA_NETEM_LOSS", {"attrs": [("NETEM_LOSS_GE", model)]}))
    if wanted.rate >= _MAX_RATE32:
        attrs.append(("TCA_NETEM_RATE64", wanted.rate))
    rate = {
        "rate": min(wanted.rate, _MAX_RATE32),
        "packet_overhead": wanted.packet_overhead,
        "cell_size": wanted.cell_size,
        "cell_overhead": wanted.cell_overhead,
    }
    attrs += [("TCA_NETEM_RATE", rate), ("TCA_NETEM_PRNG_SEED", seed)]
    if delays is not None:
        attrs.append(("TCA_NETEM_DELAY_DIST", delays.tobytes()))
    return {
        "delay": 0,  # LATENCY64 and JITTER64 replace these, which count in ticks
        "jitter": 0,
        "limit": wanted.limit,
        "loss": wanted.loss,
        "gap": wanted.gap,
        "duplicate": wanted.duplicate,
        "attrs": attrs,
    }


def _request(index: int, options: dict[str, Any], flags: int, place: Place) -> Request:
    return encode(
        NetemMessage(),
        RTM_NEWQDISC,
        flags,
        index=index,
        handle=place.handle,
        parent=place.parent,
        attrs=[("TCA_KIND", "netem"), ("TCA_OPTIONS", options)],
    )
