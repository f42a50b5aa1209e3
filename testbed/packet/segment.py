"""A TCP segment with the fields of the IP header that TCP uses."""

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
    """One segment.

    :param seq: the sequence number of the first octet of ``payload``, or of SYN; 32 bits.
    :param ack: 32 bits; 0 without ACK.
    :param flags: control bits.
    :param window: the unscaled window field, 16 bits.
    :param payload: at most 64 KiB.
    :param gso_size: if not 0, ``payload`` is split into pieces of this size when it is sent, or was
        merged from such pieces when it was received. Each piece has the same options.
    :param ecn: the ECN codepoint of the IP header.
    :param traffic_class: the traffic class octet of the IP header without ``ecn``.
    :param hop_limit: the hop limit of the IP header.
    :param urgent: the urgent pointer.
    :param ext: a slot for the extension of a connection, as ``skb_ext`` in Linux. It never leaves
        the host.
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
        """SEG.LEN: the sequence space of payload, SYN and FIN in octets."""
        octets, flags = len(self.payload), self.flags
        return octets + bool(flags & SYN) + bool(flags & FIN) if flags & (SYN | FIN) else octets

    def __str__(self) -> str:
        """Return a text in a form similar to tcpdump(8)."""
        flags = "".join(letter for bit, letter in _LETTERS if self.flags & bit) or "none"
        options = f" {list(self.options)}" if self.options else ""
        return (
            f"{self.source} > {self.destination} [{flags}] seq {self.seq} ack {self.ack} "
            f"win {self.window} len {len(self.payload)}{options}"
        )
