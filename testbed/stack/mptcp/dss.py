"""Data Sequence Signals: mappings, DATA_FIN and Data ACK as an option (RFC 8684, section 3.3)."""

from __future__ import annotations

from typing import Final

from testbed.packet.mptcp import Dss
from testbed.packet.sequence import BITS_32, expand
from testbed.stack.mptcp.checksum import dss_checksum
from testbed.stack.mptcp.keys import Keys
from testbed.stack.mptcp.mapping import Mapping

_ALONE: Final = 0  # the subflow sequence number of a DATA_FIN on its own (section 3.3.3)


def new_mapping(keys: Keys, data: bytes, start: int, subflow: int, *, in_capable: bool) -> Mapping:
    """Return the mapping for octets to send (section 3.3.1).

    :param start: the position of the octets in the data stream.
    :param subflow: their position in the subflow's stream.
    :param in_capable: see :class:`Mapping`.
    """
    length = len(data)
    checksum = None
    if keys.checksum:
        dsn = keys.outgoing.number(start)
        checksum = dss_checksum(data, dsn, (subflow + 1) & BITS_32, length)
    return Mapping(
        data=start, subflow=subflow, length=length, in_capable=in_capable, checksum=checksum
    )


def of_data_ack(keys: Keys, ack: int) -> Dss:
    """Return a DSS with only a Data ACK.

    :param ack: the position in the peer's stream before which everything has arrived.
    """
    return Dss(data_ack=keys.data_ack(ack), wide_ack=keys.wide_ack)


def of_mapping(keys: Keys, mapping: Mapping, ack: int) -> Dss:
    """Return the DSS of data: its mapping and a Data ACK.

    The Data ACK is left out while the peer's key is unknown, which is so for an early answer to
    data of a SYN.
    """
    return Dss(
        data_ack=None if keys.remote is None else keys.data_ack(ack),
        wide_ack=keys.wide_ack,
        dsn=keys.outgoing.number(mapping.data),
        subflow_seq=(mapping.subflow + 1) & BITS_32,
        length=mapping.length,
        checksum=mapping.checksum,
    )


def of_infinite_mapping(keys: Keys, mapping: Mapping) -> Dss:
    """Return the DSS of an infinite mapping, the last DSS of a subflow (section 3.7).

    If checksums are in use, its checksum is 0. It has no Data ACK, because the path may have
    changed the number of octets.
    """
    return Dss(
        dsn=keys.outgoing.number(mapping.data),
        subflow_seq=(mapping.subflow + 1) & BITS_32,
        length=0,
        checksum=0 if keys.checksum else None,
    )


def of_data_fin(keys: Keys, position: int, ack: int) -> Dss:
    """Return a DATA_FIN without data. Its checksum covers the pseudo-header (section 3.3.3)."""
    dsn = keys.outgoing.number(position)
    return Dss(
        data_ack=keys.data_ack(ack),
        wide_ack=keys.wide_ack,
        dsn=dsn,
        subflow_seq=_ALONE,
        length=1,
        checksum=dss_checksum(b"", dsn, _ALONE, 1) if keys.checksum else None,
        data_fin=True,
    )


def received_mapping(dss: Dss, data: int, start: int) -> Mapping | None:
    """Return the mapping of a DSS, or ``None`` if it maps only DATA_FIN.

    :param data: the position that belongs to its data sequence number.
    :param start: the position of the segment in the subflow's stream.
    """
    length = dss.length - dss.data_fin if dss.length else 0
    if dss.data_fin and not length:
        return None
    return Mapping(
        data=data,
        # DSS numbers are relative to the ISN: the first octet has 1.
        subflow=expand(dss.subflow_seq, start + 1) - 1,
        length=length,
        checksum=dss.checksum,
        data_fin=dss.data_fin,
    )


def data_fin_is_whole(keys: Keys, dss: Dss, data: int) -> bool:
    """Return whether the checksum of a DATA_FIN without data is right."""
    expected = dss_checksum(b"", keys.incoming.number(data), dss.subflow_seq, dss.length)
    return dss.checksum is None or (expected - dss.checksum) % 0xFFFF == 0
