"""A TCP segment with the little of IP that TCP sees."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from testbed.packet.address import Address
from testbed.packet.options import Option

# Control bits (RFC 9293, section 3.1).  Plain integers: an enum.IntFlag costs a microsecond a use.
FIN: Final = 0x01
SYN: Final = 0x02
RST: Final = 0x04
PSH: Final = 0x08
ACK: Final = 0x10
URG: Final = 0x20
ECE: Final = 0x40
CWR: Final = 0x80

# ECN codepoints of the IP header (RFC 3168, section 5).
NOT_ECT: Final = 0
ECT_1: Final = 1
ECT_0: Final = 2
CE: Final = 3

HOP_LIMIT: Final = 64

_LETTERS: Final = ((SYN, "S"), (FIN, "F"), (RST, "R"), (PSH, "P"), (URG, "U"), (ACK, "."),
                   (ECE, "E"), (CWR, "W"))  # fmt: skip


class Segment(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One segment, as it is on the wire.

    :param seq: 32 bits; of the first octet of ``payload``, or of SYN.
    :param ack: 32 bits; 0 without ACK.
    :param flags: control bits.
    :param window: the 16 bits of the header, not scaled.
    :param payload: at most 64 KiB.
    :param gso_size: if not 0, ``payload`` is cut into pieces of so many octets on its way out, or
        was put together from such pieces on its way in; each carries the same options.
    :param ecn: codepoint of the IP header.
    :param traffic_class: the octet of the IP header that has ``ecn``, without it.
    :param hop_limit: of the IP header.
    :param urgent: the urgent pointer.
    :param ext: a slot for the extension of a connection, as ``skb_ext`` is in Linux; what is in
        there never leaves the host.
    """

    source: Address
    destination: Address
    seq: int
    ack: int = 0
    flags: int
    window: int = 0
    options: tuple[Option, ...] = ()
    payload: bytes = b""
    gso_size: int = 0
    ecn: int = NOT_ECT
    traffic_class: int = 0
    hop_limit: int = HOP_LIMIT
    urgent: int = 0
    ext: Any = None

    @property
    def length(self) -> int:
        """Octets of sequence space it takes (SEG.LEN: payload, SYN and FIN)."""
        octets, flags = len(self.payload), self.flags
        return octets + bool(flags & SYN) + bool(flags & FIN) if flags & (SYN | FIN) else octets

    def __str__(self) -> str:
        """Return it in about the words of tcpdump(8)."""
        flags = "".join(letter for bit, letter in _LETTERS if self.flags & bit) or "none"
        options = f" {list(self.options)}" if self.options else ""
        return (
            f"{self.source} > {self.destination} [{flags}] seq {self.seq} ack {self.ack} "
            f"win {self.window} len {len(self.payload)}{options}"
        )
