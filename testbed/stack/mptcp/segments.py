"""What a subflow's segments say once its handshake has nothing more to say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from testbed.stack.mptcp import dss
from testbed.stack.mptcp.mapping import Mapping
from testbed.stack.packet.mptcp import Dss, MpFastclose
from testbed.stack.packet.options import Option

if TYPE_CHECKING:
    from testbed.stack.mptcp.subflow import DataLevel, Subflow


def on_data(owner: DataLevel, mapping: Mapping) -> Sequence[Option]:
    """Return the DSS of octets that are data: their mapping, and a Data ACK beside."""
    return (dss.of_mapping(owner.keys, mapping, owner.incoming.ack),)


def on_ack(owner: DataLevel, subflow: Subflow, room: int) -> Sequence[Option]:
    """Return the options of a segment without data: a Data ACK, DATA_FIN, one signal."""
    ack = owner.incoming.ack
    if owner.fin_due and not subflow.signals:
        return (dss.of_data_fin(owner.keys, owner.outgoing.end, ack),)
    data_ack = Dss(data_ack=owner.keys.incoming.number(ack))
    if not subflow.signals:
        return (data_ack,)
    signal = _next_signal(subflow)
    return (data_ack, signal) if signal.size + data_ack.size <= room else (signal,)


def on_reset(owner: DataLevel, subflow: Subflow, room: int) -> Sequence[Option]:
    """Return what a RST says: MP_FASTCLOSE when the whole connection ends (section 3.5).

    Otherwise why the subflow ends, as far as there is room.
    """
    if owner.aborting and owner.keys.remote is not None:
        return tuple(_fitting((MpFastclose(receiver_key=owner.keys.remote),), room))
    return tuple(_fitting(subflow.parting, room))


def after_fallback(owner: DataLevel, subflow: Subflow, mapping: Mapping | None) -> Sequence[Option]:
    """Return what may still be said in plain TCP: its beginning, and that it was agreed to.

    That is the infinite mapping, with the octets it came with, and MP_FAIL (section 3.7).
    """
    if mapping is not None:
        return (dss.of_infinite_mapping(owner.keys, mapping),) if mapping.infinite else ()
    return (_next_signal(subflow),) if subflow.signals else ()


def _next_signal(subflow: Subflow) -> Option:
    signal = subflow.signals.popleft()
    if subflow.signals:
        subflow.stir()  # for another ACK: each carries one
    return signal


def _fitting(options: Sequence[Option], room: int) -> Iterator[Option]:
    for option in options:
        room -= option.size
        if room >= 0:
            yield option
