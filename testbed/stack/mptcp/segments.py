"""The options of a subflow's segments after the handshake, as functions of values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from testbed.packet.mptcp import AddAddr, MpFastclose
from testbed.packet.options import Option
from testbed.stack.mptcp import dss
from testbed.stack.mptcp.config import DataAcks
from testbed.stack.mptcp.keys import Keys
from testbed.stack.mptcp.mapping import Mapping
from testbed.stack.mptcp.outbox import Outbox


def on_data(keys: Keys, mapping: Mapping, ack: int) -> Sequence[Option]:
    """Return the DSS of data: its mapping and a Data ACK.

    :param ack: the position in the peer's stream that the Data ACK acknowledges.
    """
    return (dss.of_mapping(keys, mapping, ack),)


def on_ack(
    keys: Keys, ack: int, fin: int | None, outbox: Outbox, room: int, acks: DataAcks
) -> Sequence[Option]:
    """Return the options of a segment without data: Data ACK, DATA_FIN, one signal.

    :param fin: the position of our DATA_FIN if it is due.
    """
    if fin is not None and not outbox.waiting:
        return (dss.of_data_fin(keys, fin, ack),)
    data_ack = dss.of_data_ack(keys, ack)
    if not outbox.waiting:
        return (data_ack,)
    signal = outbox.take()
    if isinstance(signal, AddAddr) and not acks.beside_addresses:
        return (signal,)
    return (data_ack, signal) if signal.size + data_ack.size <= room else (signal,)


def on_reset(
    keys: Keys, parting: Sequence[Option], room: int, *, aborting: bool
) -> Sequence[Option]:
    """Return the options of a RST: MP_FASTCLOSE if the whole connection ends (section 3.5).

    The others say why the subflow ends, as far as they fit. As in Linux, MP_TCPRST is sent beside
    MP_FASTCLOSE.
    """
    if aborting and keys.remote is not None:
        parting = (MpFastclose(receiver_key=keys.remote), *parting)
    return tuple(_fitting(parting, room))


def after_fallback(
    keys: Keys, mapping: Mapping | None, outbox: Outbox, acked: int | None
) -> Sequence[Option]:
    """Return the options that are allowed after a fallback (section 3.7).

    These are an infinite mapping with the first octets, or with FIN if there are none; MP_FAIL; and
    Data ACKs for a peer that has not yet sent an infinite mapping.

    :param acked: the position of such a Data ACK, if one is needed.
    """
    if mapping is not None:
        return (dss.of_infinite_mapping(keys, mapping),) if mapping.infinite else ()
    said: tuple[Option, ...] = (outbox.take(),) if outbox.waiting else ()
    if acked is not None:
        return (dss.of_data_ack(keys, acked), *said)
    return said


def _fitting(options: Sequence[Option], room: int) -> Iterator[Option]:
    for option in options:
        room -= option.size
        if room >= 0:
            yield option
