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

    :param dsn: in 64 bits, also where the option has 32 of them.
    :param subflow_seq: relative to the subflow's ISN, or 0 for a DATA_FIN on its own.
    :param length: as in the option: DATA_FIN counts.
    """
    return checksum(total(data) + total(_PSEUDO_HEADER.pack(dsn, subflow_seq, length, 0)))


def covers(mapping: Mapping, data: Octets, numbers: DataSequence) -> bool:
    """Tell whether a mapping's checksum is right for its data.

    :param data: all of it.
    :param numbers: of the stream the data belongs to.
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
