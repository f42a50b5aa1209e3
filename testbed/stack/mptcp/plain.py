"""Going on as plain TCP (RFC 8684, section 3.7).

A subflow falls back (:meth:`~testbed.stack.mptcp.subflow.Subflow.fall_back`) when options vanish in
the handshake (``capable.py``), on data that comes (``receiver.py``), or on what acknowledges ours,
here.  It may do so while it is the only subflow there ever was and its octets are the stream.
"""

from __future__ import annotations

from collections.abc import Sequence

from testbed.packet.mptcp import ResetReason
from testbed.stack.mptcp.streams import ReceiveStream, SendStream
from testbed.stack.mptcp.subflow import Subflow


def without_data_acks(subflow: Subflow, incoming: ReceiveStream, *, plain: bool) -> bool:
    """Fall back where the peer's Data ACKs do not arrive, or end the subflow; tell which.

    :param plain: it may fall back, as far as what was sent is concerned.
    """
    if plain and subflow.inbound.position == incoming.next:
        subflow.fall_back_unheard()
        return True
    subflow.reset(ResetReason.MIDDLEBOX)
    return False


def drop_others(subflow: Subflow, subflows: Sequence[Subflow]) -> None:
    """Give up joins that were begun: after a fallback there is one subflow."""
    for other in subflows:
        if other is not subflow and not other.tcp.closed:
            other.reset(ResetReason.MIDDLEBOX)


def follow_tcp(outgoing: SendStream, subflows: Sequence[Subflow]) -> None:
    """Let TCP's window be the only one, its FIN be DATA_FIN, and the FIN's ACK the Data ACK."""
    outgoing.leave_window_to_tcp()
    for subflow in subflows:
        if subflow.phase.fin_acked:
            outgoing.end_acked()


def finish(outgoing: SendStream, subflows: Sequence[Subflow]) -> None:
    """Send FIN once TCP has been given all data."""
    if outgoing.closed and outgoing.next == outgoing.end:
        for subflow in subflows:
            subflow.tcp.shutdown()
