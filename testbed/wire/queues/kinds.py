"""The kinds of queue with their options, named and by default as in tc(8).

None can be built with an impossible value: the constructors raise :class:`InputError`.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from testbed.errors import InputError
from testbed.wire.options import Limit, LimitUnit

MS: Final = 10**6  # nanoseconds


class Fifo(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="fifo"):
    """First in, first out. Packets that find it full are dropped (tc-pfifo(8)).

    :param limit: what may wait: packets, octets, time at the rate, or bandwidth-delay products.
    """

    limit: Limit = Limit(value=1000)


class Codel(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="codel"):
    """Controlled delay (RFC 8289, tc-codel(8)).

    :param limit: packets.
    :param target: of the delay of packets that waited, in nanoseconds.
    :param interval: how long the delay may be above, in nanoseconds.
    :param ecn: mark packets that can be marked instead of dropping them.
    :param ce_threshold: mark all that waited longer than these nanoseconds; 0: none.
    """

    limit: int = 1000
    target: int = 5 * MS
    interval: int = 100 * MS
    ecn: bool = False
    ce_threshold: int = 0

    def __post_init__(self) -> None:
        _positive(limit=self.limit, target=self.target, interval=self.interval)


class FqCodel(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="fq_codel"):
    """A queue with CoDel for each flow, served in turn (RFC 8290, tc-fq_codel(8)).

    :param limit: packets in all queues.
    :param flows: how many queues there are; a flow goes to one by a hash of its addresses.
    :param quantum: octets that a queue may send in its turn; 0: one frame of the link.
    :param drop_batch: how many packets at most the longest queue loses when the limit is reached.
    """

    limit: int = 10240
    flows: int = 1024
    target: int = 5 * MS
    interval: int = 100 * MS
    quantum: int = 0
    ecn: bool = True
    ce_threshold: int = 0
    drop_batch: int = 64

    def __post_init__(self) -> None:
        _positive(limit=self.limit, flows=self.flows, target=self.target, interval=self.interval)
        _positive(drop_batch=self.drop_batch)
        if self.flows > 65536:
            raise InputError("flows: must be at most 65536")
        if 0 < self.quantum < 256 or self.quantum > 2**20:  # the limits of the kernel
            raise InputError("quantum: must be between 256b and 1mb")


class Pie(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="pie"):
    """Proportional integral controller enhanced (RFC 8033, tc-pie(8)).

    :param limit: packets.
    :param target: of the delay, in nanoseconds.
    :param tupdate: how often the probability is computed, in nanoseconds.
    :param alpha: what the distance from the target counts, in sixteenths per second.
    :param beta: what the change of the delay counts, in sixteenths per second.
    :param ecn: mark packets that can be marked, up to a probability of 10 %.
    :param bytemode: small packets are dropped less often.
    """

    limit: int = 1000
    target: int = 15 * MS
    tupdate: int = 15 * MS
    alpha: int = 2
    beta: int = 20
    ecn: bool = False
    bytemode: bool = False

    def __post_init__(self) -> None:
        _positive(limit=self.limit, target=self.target, tupdate=self.tupdate)
        for name in ("alpha", "beta"):
            if not 0 <= getattr(self, name) <= 32:
                raise InputError(f"{name}: must be between 0 and 32")


class Red(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="red"):
    """Random early detection (Floyd and Jacobson 1993, tc-red(8)).

    :param limit: octets, the hard limit.
    :param min: octets: from this average on packets are dropped or marked; 0: a third of ``max``.
    :param max: octets: at this average with ``probability``; 0: a quarter of ``limit``.
    :param avpkt: octets of a usual packet.
    :param burst: packets that may come at once; 0: (2 min + max) / (3 avpkt).
    :param probability: at ``max``.
    :param ecn: mark packets that can be marked.
    :param harddrop: above ``max``, drop even those.
    """

    limit: int
    min: int = 0
    max: int = 0
    avpkt: int = 1000
    burst: int = 0
    probability: float = 0.02
    ecn: bool = False
    harddrop: bool = False

    def __post_init__(self) -> None:
        _positive(limit=self.limit, avpkt=self.avpkt)
        if not 0 < self.probability <= 1:
            raise InputError("probability: must be above 0 and at most 1")
        least, most = self.thresholds
        if not 0 < least < most <= self.limit:
            raise InputError(
                f"min ({least}b) must be below max ({most}b), and that at most limit"
                f" ({self.limit}b)"
            )
        if self.packets_at_once < least / self.avpkt:
            raise InputError(
                f"burst: {self.packets_at_once} is too small for these thresholds",
                hint=f"write at least {-(-least // self.avpkt)}",
            )

    @property
    def thresholds(self) -> tuple[int, int]:
        """``min`` and ``max``, those of tc-red(8) where none are given."""
        most = self.max or self.limit // 4
        return self.min or most // 3, most

    @property
    def packets_at_once(self) -> int:
        """``burst``, that of tc-red(8) where none is given."""
        least, most = self.thresholds
        return self.burst or max(1, (2 * least + most) // (3 * self.avpkt))

    @property
    def weight_log(self) -> int:
        """The negative binary logarithm of the average's weight, as tc(8) finds it from burst."""
        burst, least = self.packets_at_once, self.thresholds[0]
        wanted = burst + 1 - least / self.avpkt
        for log in range(1, 32):
            weight = 2.0**-log
            if wanted <= (1 - (1 - weight) ** burst) / weight:
                return log
        raise InputError("burst: is too large for these thresholds")


Queue: TypeAlias = Fifo | Codel | FqCodel | Pie | Red

KINDS: Final[dict[str, type[Queue]]] = {
    "fifo": Fifo,
    "codel": Codel,
    "fq_codel": FqCodel,
    "pie": Pie,
    "red": Red,
}


def kind_of(queue: Queue) -> str:
    """Return the name of a queue's kind."""
    return str(queue.__struct_config__.tag)


def limit_of(queue: Queue) -> Limit:
    """Return what may wait at most."""
    if isinstance(queue, Fifo):
        return queue.limit
    unit = LimitUnit.BYTES if isinstance(queue, Red) else LimitUnit.PACKETS
    return Limit(value=queue.limit, unit=unit)


def _positive(**values: int) -> None:
    for name, value in values.items():
        if value <= 0:
            raise InputError(f"{name}: must be more than 0")
        if value >= 2**32:
            raise InputError(f"{name}: is too large")
