"""What one direction of a wire does to packets.

:class:`Netem` is read from tc's own grammar, once, and cannot be wrong afterwards.  Both engines
are driven by it: the sandbox turns it into netlink attributes for the kernel's ``sch_netem``, and
:class:`testbed.wire.model.LinkModel` carries it out in user space.

Two options are not netem's: ``limit`` may also be given in octets, time or bandwidth-delay
products, and ``trace`` replays a mahimahi trace (emulator only).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from testbed.errors import InputError
from testbed.wire import grammar
from testbed.wire.options import (
    OPTIONS,
    Corrupt,
    Delay,
    Distribution,
    Duplicate,
    GilbertElliott,
    Limit,
    LimitUnit,
    Loss,
    RandomLoss,
    Rate,
    Reorder,
)

__all__ = [
    "DEFAULT_LIMIT",
    "ETHERNET_HEADER",
    "OPTIONS",
    "Corrupt",
    "Delay",
    "Distribution",
    "Duplicate",
    "GilbertElliott",
    "Limit",
    "LimitUnit",
    "Loss",
    "Netem",
    "RandomLoss",
    "Rate",
    "Reorder",
    "WireCounters",
]

ETHERNET_HEADER: Final = 14  # octets; netem counts frames, not IP packets (qdisc_pkt_len)
DEFAULT_LIMIT: Final = 1000  # packets, tc-netem(8)


class Netem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One direction of a wire.  Without any option it forwards at once.

    :raises InputError: options that exclude or need one another.
    """

    limit: Limit | None = None
    delay: Delay | None = None
    rate: Rate | None = None
    loss: Loss | None = None
    reorder: Reorder | None = None
    duplicate: Duplicate | None = None
    corrupt: Corrupt | None = None
    trace: str | None = None  # path of a mahimahi trace

    def __post_init__(self) -> None:
        if self.rate and self.trace:
            raise InputError("trace: cannot be combined with rate", hint="set one of them to none")
        if self.reorder and not (self.delay and self.delay.delay_ns):
            raise InputError("reorder: needs a delay, or there is nothing to overtake")
        if self.limit and self.limit.unit is not LimitUnit.PACKETS:
            if not (self.rate or self.trace):
                raise InputError(f"limit: in {self.limit.unit} it needs a rate, or nothing queues")
            if self.limit.unit is LimitUnit.BDP and not (self.delay and self.delay.delay_ns):
                raise InputError("limit: in bdp it needs a delay")

    @classmethod
    def parse(cls, value: str | Mapping[str, str | int | float]) -> Netem:
        """Read ``"delay 15ms 2ms loss 1%"`` or ``{"delay": "15ms 2ms", "loss": "1%"}``.

        :raises InputError: an unknown option or keyword, or an impossible value.
        """
        return cls().merge(grammar.split(value) if isinstance(value, str) else value)

    def merge(self, options: Mapping[str, str | int | float]) -> Netem:
        """Replace the named options and keep the others; the value ``none`` removes an option.

        :raises InputError: as :meth:`parse`.
        """
        changes: dict[str, object] = {}
        for name, text in options.items():
            option = grammar.option_name(name)
            if option in changes:
                raise InputError(f"{option}: given twice")
            changes[option] = grammar.parse_option(option, str(text))
        return msgspec.structs.replace(self, **changes)

    def options(self) -> dict[str, str]:
        """Each option that is set, in tc's grammar: ``{"delay": "15ms 2ms"}``."""
        values = ((name, getattr(self, name)) for name in OPTIONS)
        return {
            name: grammar.format_option(name, value) for name, value in values if value is not None
        }

    def to_tc(self) -> str:
        """Write the options as on a tc command line; ``parse`` reads them back."""
        return grammar.join(self.options())

    def limit_packets(self, mtu: int, *, bits_per_second: int | None = None) -> int:
        """Return the limit as netem counts it: all packets held, queued or on their way.

        :param mtu: of the link; a packet is taken to be one full frame.
        :param bits_per_second: the mean rate when a trace sets it.
        """
        if self.limit is None:
            return DEFAULT_LIMIT
        if self.limit.unit is LimitUnit.PACKETS:
            return self.limit.value
        rate = self.rate.bits_per_second if self.rate else bits_per_second or 0
        delay_ns = self.delay.delay_ns if self.delay else 0
        frame_bits = 8 * (mtu + ETHERNET_HEADER)
        queue_bits = {
            LimitUnit.BYTES: self.limit.value * 8,
            LimitUnit.NS: rate * self.limit.value // 10**9,
            LimitUnit.BDP: rate * 2 * delay_ns * self.limit.value // (1000 * 10**9),
        }[self.limit.unit]
        in_flight_bits = rate * delay_ns // 10**9
        return max(1, -(-queue_bits // frame_bits)) + -(-in_flight_bits // frame_bits)


class WireCounters(msgspec.Struct, frozen=True, kw_only=True):
    """What one direction of a wire has done so far.

    ``dropped_overrun`` and ``dropped_send`` are losses nobody asked for: frames that came faster
    than the emulator read them, and frames the kernel refused to send (an interface that is down).
    """

    forwarded_packets: int = 0
    forwarded_bytes: int = 0
    dropped_loss: int = 0
    dropped_limit: int = 0
    dropped_overrun: int = 0
    dropped_send: int = 0
    duplicated: int = 0
    corrupted: int = 0
    reordered: int = 0
    queued_packets: int = 0
    queued_bytes: int = 0
