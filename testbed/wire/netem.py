"""The effects of one direction of a wire on packets.

:class:`Netem` is parsed from tc's grammar and validated once. Both engines use it: the sandbox
    translates it to netlink attributes of the kernel's ``sch_netem``, and
    :class:`testbed.wire.model.LinkModel` implements it in user space.

Three options are not part of netem: ``limit`` may also be in octets, time or bandwidth-delay
products, ``trace`` replays a mahimahi trace (emulator only), and ``queue`` is a queueing discipline
before the rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec

from testbed.errors import InputError
from testbed.wire import grammar
from testbed.wire.options import (
    OPTIONS,
    Corrupt,
    Delay,
    Distribution,
    Duplicate,
    Flap,
    FourStates,
    GilbertElliott,
    Limit,
    LimitUnit,
    Loss,
    RandomLoss,
    Rate,
    Reorder,
    Slot,
)
from testbed.wire.queues.kinds import Queue, limit_of

__all__ = [
    "DEFAULT_LIMIT",
    "ETHERNET_HEADER",
    "OPTIONS",
    "Corrupt",
    "Delay",
    "Distribution",
    "Duplicate",
    "Flap",
    "FourStates",
    "GilbertElliott",
    "Limit",
    "LimitUnit",
    "Loss",
    "Netem",
    "RandomLoss",
    "Rate",
    "Reorder",
    "Slot",
    "WireCounters",
]

ETHERNET_HEADER: Final = 14  # octets; netem counts frames, not IP packets (qdisc_pkt_len)
DEFAULT_LIMIT: Final = 1000  # packets, tc-netem(8)
UNLIMITED: Final = 1_000_000  # packets; with a queue, which has the limit


# Values of an option in a file: words of tc, a number, or a mapping of a queue.
Value: TypeAlias = str | int | float | Mapping[str, str | int | float | bool]


class Netem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The options of one direction of a wire. Without options it forwards at once.

    :raises InputError: options exclude or require each other.
    """

    limit: Limit | None = None
    delay: Delay | None = None
    rate: Rate | None = None
    loss: Loss | None = None
    reorder: Reorder | None = None
    duplicate: Duplicate | None = None
    corrupt: Corrupt | None = None
    slot: Slot | None = None
    trace: str | None = None  # path of a file, see testbed.wire.trace
    flap: Flap | None = None
    queue: Queue | None = None

    def __post_init__(self) -> None:
        self._check_queue()
        if self.reorder and not (self.delay and self.delay.delay_ns):
            raise InputError("reorder: needs a delay, or there is nothing to overtake")
        if self.limit and self.limit.unit is not LimitUnit.PACKETS:
            if not (self.rate or self.trace):
                raise InputError(f"limit: in {self.limit.unit} it needs a rate, or nothing queues")
            if self.limit.unit is LimitUnit.BDP and not (self.delay and self.delay.delay_ns):
                raise InputError("limit: in bdp it needs a delay")

    def _check_queue(self) -> None:
        if self.queue is None:
            if self.rate and self.rate.burst:
                raise InputError("rate: a burst needs a queue", hint="write for example queue fifo")
            return
        if self.slot:
            raise InputError("slot: cannot be combined with a queue")
        if not (self.rate or self.trace):
            raise InputError("queue: needs a rate, or nothing waits")
        if self.limit:
            hint = "write the limit at the queue, and set this one to none"
            raise InputError("limit: cannot be combined with a queue", hint=hint)
        if limit_of(self.queue).unit is LimitUnit.BDP and not (self.delay and self.delay.delay_ns):
            raise InputError("queue: a limit in bdp needs a delay")

    @classmethod
    def parse(cls, value: str | Mapping[str, Value]) -> Netem:
        """Parse ``"delay 15ms 2ms loss 1%"`` or ``{"delay": "15ms 2ms", "loss": "1%"}``.

        :raises InputError: an unknown option or keyword, or an impossible value.
        """
        return cls().merge(grammar.split(value) if isinstance(value, str) else value)

    def merge(self, options: Mapping[str, Value]) -> Netem:
        """Replace the named options and keep the others. The value ``none`` removes an option.

        :raises InputError: as :meth:`parse`.
        """
        changes: dict[str, object] = {}
        for name, text in options.items():
            option = grammar.option_name(name)
            if option in changes:
                raise InputError(f"{option}: given twice")
            changes[option] = grammar.parse_option(option, text)
        return msgspec.structs.replace(self, **changes)

    def options(self) -> dict[str, str]:
        """Each option that is set, in tc's grammar: ``{"delay": "15ms 2ms"}``."""
        values = ((name, getattr(self, name)) for name in OPTIONS)
        return {
            name: grammar.format_option(name, value) for name, value in values if value is not None
        }

    def to_tc(self) -> str:
        """Format the options as on a tc command line, which ``parse`` reads back."""
        return grammar.join(self.options())

    def limit_packets(self, mtu: int, *, bits_per_second: int | None = None) -> int:
        """Return the limit of netem: all held packets, queued or delayed.

        :param mtu: the MTU of the link. A packet is assumed to be a full frame.
        :param bits_per_second: the mean rate when a trace sets it.
        """
        if self.queue is not None:
            return UNLIMITED
        if self.limit is None:
            return DEFAULT_LIMIT
        if self.limit.unit is LimitUnit.PACKETS:
            return self.limit.value
        rate = self.rate.bits_per_second if self.rate else bits_per_second or 0
        delay_ns = self.delay.delay_ns if self.delay else 0
        in_flight_bits = rate * delay_ns // 10**9
        frame_bits = 8 * (mtu + ETHERNET_HEADER)
        return self._packets(self.limit, rate, mtu) + -(-in_flight_bits // frame_bits)

    def queue_packets(self, mtu: int, *, bits_per_second: int) -> int:
        """Return the limit of the queue in packets; parameters as for :meth:`limit_packets`."""
        if self.queue is None:
            return 0
        return self._packets(limit_of(self.queue), bits_per_second, mtu)

    def _packets(self, limit: Limit, rate: int, mtu: int) -> int:
        """Return a limit of waiting data in full frames."""
        if limit.unit is LimitUnit.PACKETS:
            return limit.value
        delay_ns = self.delay.delay_ns if self.delay else 0
        bits = {
            LimitUnit.BYTES: limit.value * 8,
            LimitUnit.NS: rate * limit.value // 10**9,
            LimitUnit.BDP: rate * 2 * delay_ns * limit.value // (1000 * 10**9),
        }[limit.unit]
        return max(1, -(-bits // (8 * (mtu + ETHERNET_HEADER))))


class WireCounters(msgspec.Struct, frozen=True, kw_only=True):
    """The counters of one direction of a wire.

    ``dropped_limit`` counts frames dropped at the limit. ``dropped_early`` and ``marked`` (CE, RFC
    3168) count frames chosen by the queueing discipline, or by loss with ecn. ``queued_bytes`` are
    all held octets, of which ``waiting_bytes`` wait in a queue for the rate.

    ``dropped_overrun`` and ``dropped_send`` are unintended losses: frames that arrived faster than
    the emulator read them, and frames that the kernel refused to send (an interface that is down).
    """

    forwarded_packets: int = 0
    forwarded_bytes: int = 0
    dropped_loss: int = 0
    dropped_limit: int = 0
    dropped_early: int = 0
    dropped_overrun: int = 0
    dropped_send: int = 0
    duplicated: int = 0
    corrupted: int = 0
    reordered: int = 0
    marked: int = 0
    queued_packets: int = 0
    queued_bytes: int = 0
    waiting_bytes: int = 0

    @property
    def dropped(self) -> int:
        """The number of all lost frames."""
        asked_for = self.dropped_loss + self.dropped_limit + self.dropped_early
        return asked_for + self.dropped_overrun + self.dropped_send
