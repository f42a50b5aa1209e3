"""MPTCP options, TCP option kind 30: one class per subtype of RFC 8684 (section 3, figure 3).

Numbers are integers, HMACs are octets. An option with an invalid length for its subtype is an
:class:`~testbed.packet.options.UnknownOption`.
"""

from __future__ import annotations

import enum
import struct
from typing import ClassVar, Final

from testbed.packet.address import pack
from testbed.packet.options import Option

KIND: Final = 30
VERSION: Final = 1

# Flags of MP_CAPABLE (section 3.1).
CHECKSUM_REQUIRED: Final = 0x80  # A
EXTENSIBILITY: Final = 0x40  # B
DENY_JOIN_INITIAL: Final = 0x20  # C: no further subflow to this address and port
HMAC_SHA256: Final = 0x01  # H

# Flags of DSS (section 3.3).  What follows them, checksum aside, depends on the last four alone.
DSS_DATA_FIN: Final = 0x10  # F
DSS_WIDE_DSN: Final = 0x08  # m
DSS_MAP: Final = 0x04  # M
DSS_WIDE_ACK: Final = 0x02  # a
DSS_ACK: Final = 0x01  # A
DSS_FIELDS: Final = tuple(
    (("Q" if flags & DSS_WIDE_ACK else "I") if flags & DSS_ACK else "")
    + (("QIH" if flags & DSS_WIDE_DSN else "IIH") if flags & DSS_MAP else "")
    for flags in range(16)
)
_DSS_FORMS: Final = tuple(struct.Struct(f"!BBBB{fields}") for fields in DSS_FIELDS)


class ResetReason(enum.IntEnum):
    """The reason of a subflow's reset (section 3.6)."""

    UNSPECIFIED = 0
    MPTCP = 1  # an error in the processing of options
    RESOURCES = 2  # the subflow needs more resources than the host has
    PROHIBITED = 3  # the policy of the host forbids the subflow
    OUTSTANDING = 4  # too much data waits there that has arrived on other subflows
    PERFORMANCE = 5  # the subflow is too slow
    MIDDLEBOX = 6  # something on the path makes signals invalid


class MptcpOption(Option, frozen=True):
    """The base class of MPTCP options."""

    kind = KIND
    subtype: ClassVar[int]


class MpCapable(MptcpOption, frozen=True, kw_only=True):
    """MP_CAPABLE (section 3.1).

    A SYN carries it without keys, a SYN/ACK with the sender's key, the third ACK with both keys.
    ``data_length`` is set if that ACK carries data, ``checksum`` if checksums are in use.

    :param flags: the bits A to H. Bits without a meaning are kept.
    :param sender_key: 64 bits, as ``receiver_key``.
    """

    subtype = 0
    version: int = VERSION
    flags: int = HMAC_SHA256
    sender_key: int | None = None
    receiver_key: int | None = None
    data_length: int | None = None
    checksum: int | None = None

    def encode(self) -> bytes:
        """Return 4, 12, 20, 22 or 24 octets."""
        parts = [bytes((self.version & 0x0F, self.flags))]
        for value, octets in (
            (self.sender_key, 8),
            (self.receiver_key, 8),
            (self.data_length, 2),
            (self.checksum, 2),
        ):
            if value is None:
                break
            parts.append(value.to_bytes(octets, "big"))
        return _with_header(b"".join(parts))


class MpJoinSyn(MptcpOption, frozen=True, kw_only=True):
    """MP_JOIN of a SYN (section 3.2, figure 5)."""

    subtype = 1
    backup: bool = False
    address_id: int
    token: int  # the receiver's token: 32 bits
    nonce: int  # 32 bits

    def encode(self) -> bytes:
        """Return 12 octets."""
        return struct.pack(
            "!BBBBII", KIND, 12, 0x10 | self.backup, self.address_id, self.token, self.nonce
        )


class MpJoinSynAck(MptcpOption, frozen=True, kw_only=True):
    """MP_JOIN of a SYN/ACK (figure 6); ``hmac`` is the leftmost 64 bits."""

    subtype = 1
    backup: bool = False
    address_id: int
    hmac: bytes
    nonce: int

    def encode(self) -> bytes:
        """Return 16 octets."""
        return struct.pack(
            "!BBBB8sI", KIND, 16, 0x10 | self.backup, self.address_id, self.hmac, self.nonce
        )


class MpJoinAck(MptcpOption, frozen=True, kw_only=True):
    """MP_JOIN of the third ACK (figure 7); ``hmac`` is the leftmost 160 bits."""

    subtype = 1
    hmac: bytes

    def encode(self) -> bytes:
        """Return 24 octets."""
        return struct.pack("!BBBB20s", KIND, 24, 0x10, 0, self.hmac)


class Dss(MptcpOption, frozen=True, kw_only=True):
    """Data Sequence Signal (section 3.3, figure 9): a Data ACK, a mapping, or both.

    :param data_ack: the next expected data sequence number; ``None`` without the A flag.
    :param wide_ack: whether it has 8 octets (flag a) instead of 4.
    :param dsn: the first data sequence number of the mapping; ``None`` without the M flag.
    :param wide_dsn: whether it has 8 octets (flag m) instead of 4.
    :param subflow_seq: the start of the mapping relative to the subflow's ISN; 0 for a DATA_FIN
        without data.
    :param length: the data-level length in octets, including DATA_FIN; 0 for an infinite mapping
        (section 3.7).
    :param checksum: ``None`` if checksums are not in use.
    """

    subtype = 2
    data_ack: int | None = None
    wide_ack: bool = True
    dsn: int | None = None
    wide_dsn: bool = True
    subflow_seq: int = 0
    length: int = 0
    checksum: int | None = None
    data_fin: bool = False

    def encode(self) -> bytes:
        """Return 4 to 28 octets."""
        flags = DSS_DATA_FIN if self.data_fin else 0
        values: list[int] = []
        if self.data_ack is not None:
            flags |= DSS_ACK | DSS_WIDE_ACK if self.wide_ack else DSS_ACK
            values.append(self.data_ack)
        if self.dsn is not None:
            flags |= DSS_MAP | DSS_WIDE_DSN if self.wide_dsn else DSS_MAP
            values += (self.dsn, self.subflow_seq, self.length)
        form = _DSS_FORMS[flags & 0x0F]
        if self.checksum is None or self.dsn is None:
            return form.pack(KIND, form.size, 0x20, flags, *values)
        checksum = self.checksum.to_bytes(2, "big")
        return form.pack(KIND, form.size + 2, 0x20, flags, *values) + checksum

    @property
    def size(self) -> int:
        """The size in octets, computed without encoding, as each segment needs it."""
        ack = 0 if self.data_ack is None else 8 if self.wide_ack else 4
        if self.dsn is None:
            return 4 + ack
        mapping = (14 if self.wide_dsn else 10) + (0 if self.checksum is None else 2)
        return 4 + ack + mapping


class AddAddr(MptcpOption, frozen=True, kw_only=True):
    """ADD_ADDR (section 3.4.1, figure 12). Without ``hmac`` it is an echo.

    :param hmac: the rightmost 64 bits.
    """

    subtype = 3
    address_id: int
    address: str
    port: int | None = None
    hmac: bytes | None = None

    def encode(self) -> bytes:
        """Return 8 to 30 octets."""
        port = b"" if self.port is None else self.port.to_bytes(2, "big")
        echo = 0x01 if self.hmac is None else 0x00
        return _with_header(
            bytes((0x30 | echo, self.address_id)) + pack(self.address) + port + (self.hmac or b"")
        )


class RemoveAddr(MptcpOption, frozen=True, kw_only=True):
    """REMOVE_ADDR (section 3.4.2, figure 13)."""

    subtype = 4
    address_ids: tuple[int, ...]

    def encode(self) -> bytes:
        """Return 3 octets and one for each id."""
        return _with_header(b"\x40" + bytes(self.address_ids))


class MpPrio(MptcpOption, frozen=True, kw_only=True):
    """MP_PRIO (section 3.3.8, figure 11): whether this subflow becomes a backup."""

    subtype = 5
    backup: bool

    def encode(self) -> bytes:
        """Return 3 octets."""
        return bytes((KIND, 3, 0x50 | self.backup))


class MpFail(MptcpOption, frozen=True, kw_only=True):
    """MP_FAIL (section 3.7, figure 16): a wrong checksum of the data from ``dsn`` (64 bits) on."""

    subtype = 6
    dsn: int

    def encode(self) -> bytes:
        """Return 12 octets."""
        return _with_header(b"\x60\x00" + self.dsn.to_bytes(8, "big"))


class MpFastclose(MptcpOption, frozen=True, kw_only=True):
    """MP_FASTCLOSE (section 3.5, figure 14): the connection is aborted.

    :param receiver_key: the key of the receiving host, 64 bits.
    """

    subtype = 7
    receiver_key: int

    def encode(self) -> bytes:
        """Return 12 octets."""
        return _with_header(b"\x70\x00" + self.receiver_key.to_bytes(8, "big"))


class MpTcprst(MptcpOption, frozen=True, kw_only=True):
    """MP_TCPRST (section 3.6, figure 15): the reason of a subflow's reset.

    :param transient: the T flag: another attempt on this path may succeed.
    :param flags: the bits U, V and W, which have no meaning yet.
    """

    subtype = 8
    reason: int
    transient: bool = False
    flags: int = 0

    def encode(self) -> bytes:
        """Return 4 octets."""
        return bytes((KIND, 4, 0x80 | (self.flags & 0x0E) | self.transient, self.reason))


def _with_header(body: bytes) -> bytes:
    return bytes((KIND, 2 + len(body))) + body
