"""The options of tc-netem(8) as values, one class per option.

The constructors check the values and raise :class:`InputError`, which names the option.
``testbed.wire.grammar`` parses and formats them.
"""

from __future__ import annotations

import enum
from typing import Final, TypeAlias

import msgspec

from testbed.errors import InputError

OPTIONS: Final = (
    "limit",
    "delay",
    "rate",
    "loss",
    "reorder",
    "duplicate",
    "corrupt",
    "slot",
    "trace",
    "flap",
    "queue",  # the last: on tc's command line its words go on to the end
)
MIN_FLAP_NS: Final = 10**6
MAX_JITTER_NS: Final = 2**31 - 1  # sch_netem clamps jitter to INT_MAX


class Distribution(enum.StrEnum):
    """The distribution of jitter, with the names of iproute2's tables."""

    UNIFORM = "uniform"
    NORMAL = "normal"
    PARETO = "pareto"
    PARETONORMAL = "paretonormal"


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """``rate``: the time a frame takes is its length plus overheads over ``bits_per_second``.

    With a ``cell_size`` the length is first rounded up to whole cells (ATM, DSL). As in netem, the
    rate is a whole number of octets per second. After a queue, up to ``burst`` octets can leave at
    once after an idle time (tc-htb(8)).
    """

    bits_per_second: int
    packet_overhead: int = 0  # octets, may be negative
    cell_size: int = 0  # octets
    cell_overhead: int = 0  # octets, may be negative
    burst: int = 0  # octets

    def __post_init__(self) -> None:
        if self.bits_per_second < 8:
            raise InputError("rate: must be at least 8bit", hint="to stop all packets: loss 100%")
        if self.cell_size < 0:
            raise InputError("rate: the cell size cannot be negative")
        if self.cell_size and self.cell_size + self.cell_overhead <= 0:
            raise InputError("rate: the cell overhead leaves nothing of a cell")


class Delay(msgspec.Struct, frozen=True, kw_only=True):
    """``delay``: ``delay_ns`` plus a random ``jitter_ns``; a delay below zero counts as zero."""

    delay_ns: int
    jitter_ns: int = 0
    correlation: float = 0.0
    distribution: Distribution = Distribution.UNIFORM

    def __post_init__(self) -> None:
        _check_probabilities("delay", self.correlation)
        if self.delay_ns < 0 or self.jitter_ns < 0:
            raise InputError("delay: times cannot be negative")
        if self.jitter_ns and not self.delay_ns:
            raise InputError("delay: jitter needs a delay to vary", hint="write delay 10ms 2ms")
        if self.jitter_ns > MAX_JITTER_NS:
            raise InputError("delay: jitter is larger than 2.147s, the maximum of netem")
        if not self.jitter_ns and (self.correlation or self.distribution != "uniform"):
            raise InputError("delay: a correlation or distribution needs jitter")


class RandomLoss(msgspec.Struct, frozen=True, kw_only=True, tag_field="model", tag="random"):
    """``loss random``: each packet is lost with ``probability``.

    :param ecn: mark an ECN-capable packet instead of losing it (RFC 3168). The other models have
        this option, too.
    """

    probability: float
    correlation: float = 0.0
    ecn: bool = False

    def __post_init__(self) -> None:
        _check_probabilities("loss", self.probability, self.correlation)


class GilbertElliott(msgspec.Struct, frozen=True, kw_only=True, tag_field="model", tag="gemodel"):
    """``loss gemodel``: a good and a bad state (Gilbert 1960, Elliott 1963).

    ``p`` and ``r`` are the probabilities per packet to become bad and good. ``one_minus_h`` and
    ``one_minus_k`` are the loss probabilities in the bad and in the good state.
    """

    p: float
    r: float
    one_minus_h: float = 1.0
    one_minus_k: float = 0.0
    ecn: bool = False

    def __post_init__(self) -> None:
        _check_probabilities("loss", self.p, self.r, self.one_minus_h, self.one_minus_k)


class FourStates(msgspec.Struct, frozen=True, kw_only=True, tag_field="model", tag="state"):
    """``loss state``: a Markov chain of four states (Salsano, Ludovici and Ordine 2009).

    1: received, 2: received within a burst of losses, 3: lost within a burst, 4: a single loss.
    ``p13`` is the probability per packet of the transition from 1 to 3, and so on.
    """

    p13: float
    p31: float
    p32: float = 0.0
    p23: float = 1.0
    p14: float = 0.0
    ecn: bool = False

    def __post_init__(self) -> None:
        _check_probabilities("loss", self.p13, self.p31, self.p32, self.p23, self.p14)
        if self.p13 + self.p14 > 1 or self.p31 + self.p32 > 1:
            raise InputError("loss: the probabilities to leave a state add up to more than 100%")


Loss: TypeAlias = RandomLoss | GilbertElliott | FourStates


class Reorder(msgspec.Struct, frozen=True, kw_only=True):
    """``reorder``: with ``probability`` a packet overtakes all delayed packets.

    Only one in ``gap`` packets may (0 and 1 are the same: any).
    """

    probability: float
    correlation: float = 0.0
    gap: int = 0

    def __post_init__(self) -> None:
        _check_probabilities("reorder", self.probability, self.correlation)
        if not 0 <= self.gap < 2**32:
            raise InputError("reorder: gap must be between 0 and 4294967295")


class Duplicate(msgspec.Struct, frozen=True, kw_only=True):
    """``duplicate``: with ``probability`` a packet is sent twice."""

    probability: float
    correlation: float = 0.0

    def __post_init__(self) -> None:
        _check_probabilities("duplicate", self.probability, self.correlation)


class Corrupt(msgspec.Struct, frozen=True, kw_only=True):
    """``corrupt``: with ``probability`` one random bit of a packet is inverted."""

    probability: float
    correlation: float = 0.0

    def __post_init__(self) -> None:
        _check_probabilities("corrupt", self.probability, self.correlation)


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """``slot``: packets leave in bursts, as on a medium that stations use in turn.

    A packet that is due waits for the next slot.  After ``packets`` or ``octets`` have left in one
    slot (0: any number), the next one begins after a time from ``least_ns`` to ``most_ns``, or
    after ``delay_ns`` with a ``jitter_ns`` of a ``distribution``.
    """

    least_ns: int = 0
    most_ns: int = 0
    delay_ns: int = 0
    jitter_ns: int = 0
    # Distribution of the jitter; uniform: least to most.
    distribution: Distribution = Distribution.UNIFORM
    packets: int = 0
    octets: int = 0

    def __post_init__(self) -> None:
        if min(self.least_ns, self.most_ns, self.delay_ns, self.jitter_ns) < 0:
            raise InputError("slot: times cannot be negative")
        if self.most_ns < self.least_ns:
            raise InputError("slot: the longest time is shorter than the shortest")
        if self.jitter_ns > MAX_JITTER_NS:
            raise InputError("slot: jitter is larger than 2.147s, the maximum of netem")
        if (self.distribution is Distribution.UNIFORM) is bool(self.delay_ns or self.jitter_ns):
            raise InputError("slot: a distribution needs a delay and a jitter")
        if not (self.most_ns or self.jitter_ns):
            raise InputError("slot: a time is missing", hint="write slot 10ms, or slot 5ms 15ms")
        if not (0 <= self.packets < 2**31 and 0 <= self.octets < 2**31):
            raise InputError("slot: packets and bytes must be between 0 and 2147483647")


class Flap(msgspec.Struct, frozen=True, kw_only=True):
    """``flap``: the wire goes up and down. While it is down, packets are lost.

    The times up and down are exponentially distributed with these means.

    :param seed: wires with the same number go up and down together; None for independent wires.
    """

    up_ns: int
    down_ns: int
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.up_ns < MIN_FLAP_NS or self.down_ns < MIN_FLAP_NS:
            raise InputError("flap: times must be at least 1ms")


class LimitUnit(enum.StrEnum):
    """The unit of a ``limit``."""

    PACKETS = "packets"
    BYTES = "bytes"
    NS = "ns"
    BDP = "bdp"  # thousandths of rate x round-trip time


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """``limit``: how much may be held. Packets beyond it are dropped.

    In ``packets`` it is netem's limit, which counts all held packets, including those in ``delay``.
    The other units limit the data that *queues* for the rate. A round trip is assumed to be twice
    the delay of this direction.
    """

    value: int
    unit: LimitUnit = LimitUnit.PACKETS

    def __post_init__(self) -> None:
        if self.value <= 0:
            raise InputError("limit: must be more than 0", hint="to drop all packets: loss 100%")
        if self.unit is LimitUnit.PACKETS and self.value >= 2**32:
            raise InputError("limit: at most 4294967295 packets")


def _check_probabilities(option: str, *values: float) -> None:
    for value in values:
        if not 0 <= value <= 1:
            raise InputError(f"{option}: {value * 100:g}% is not between 0% and 100%")
