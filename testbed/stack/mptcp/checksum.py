"""The checksum of a data sequence mapping (RFC 8684, section 3.3.1)."""

from __future__ import annotations

import struct
from typing import Final

from testbed.packet.checksum import Octets, checksum, total
from testbed.packet.sequence import BITS_32
from testbed.stack.mptcp.mapping import Mapping
from testbed.stack.mptcp.streams import DataSequence

_PSEUDO_HEADER: Final = struct.Struct("!QIHH")  # figure 10


def dss_checksum(data: Octets, dsn: int, subflow_seq: int, length: int) -> int:
    """Return the checksum over a mapping's data and the pseudo-header.

    :param dsn: the data sequence number in 64 bits, even if the option carries only 32.
    :param subflow_seq: the subflow sequence number relative to the ISN; 0 for a DATA_FIN without
        data.
    :param length: the data-level length of the option, which counts DATA_FIN.
    """
    return checksum(total(data) + total(_PSEUDO_HEADER.pack(dsn, subflow_seq, length, 0)))


def covers(mapping: Mapping, data: Octets, numbers: DataSequence) -> bool:
    """Return whether the checksum of a mapping matches its data.

    :param data: all octets of the mapping.
    :param numbers: converts positions of the stream to data sequence numbers.
    """
    assert mapping.checksum is not None  # noqa: S101 - not asked of a mapping without one
    found = dss_checksum(
        data,
        numbers.number(mapping.data),
        (mapping.subflow + 1) & BITS_32,
        mapping.length + mapping.data_fin,
    )
    # The two zeros of ones' complement are one number (RFC 1071).
    return (found - mapping.checksum) % 0xFFFF == 0
