"""The reset of connections of which only flows and peers' keys are known.

A peer accepts a RST only with the sequence number that it expects (RFC 5961, section 3.2). So the
peer is probed first: TCP answers a segment outside of its window by an ACK (RFC 9293, section
3.10.7.4), which has the expected number. For MPTCP the RST carries MP_FASTCLOSE, which ends the
whole connection and not only the subflow (RFC 8684, section 3.5, option R). A peer that does not
know yet whether we use MPTCP would process the RST as plain TCP. A Data ACK before it confirms
MPTCP (section 3.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from testbed.packet.address import Address, Flow
from testbed.packet.icmp import IcmpError
from testbed.packet.mptcp import Dss, MpCapable, MpFastclose
from testbed.packet.options import find
from testbed.packet.segment import ACK, RST, SYN, Segment
from testbed.packet.sequence import BITS_32, BITS_64
from testbed.programs.flows import Peer
from testbed.stack.mptcp.crypto import initial_dsn

# Two opposite sequence numbers: one at least is outside of any window.
_SEQUENCES: Final = (0, 1 << 31)
# When each peer is asked: a packet may be lost, and Linux answers twice in a second
# (tcp_invalid_ratelimit).
_ASKED_NS: Final = (0, 600_000_000, 1_200_000_000, 1_800_000_000)
_OVER_NS: Final = 2_500_000_000


def probes(flow: Flow) -> Sequence[Segment]:
    """Return segments; the peer of a flow answers one or more, for any number that it expects."""
    return [
        Segment(source=flow.local, destination=flow.remote, seq=seq, ack=seq, flags=ACK)
        for seq in _SEQUENCES
    ]


class Resetter:
    """An endpoint that resets the peers of flows, and all other segments.

    A driver runs it like a :class:`testbed.stack.connection.Endpoint`. A peer that answers by RST
    has no connection any more, and is done.

    :param now: the time, in nanoseconds.
    """

    def __init__(self, peers: Iterable[Peer], now: int) -> None:
        self._peers: dict[tuple[Address, Address], int | None] = {
            one.flow: one.key for one in peers
        }
        self._due = [now + after for after in (*_ASKED_NS, _OVER_NS)]
        self._out: list[Segment] = []

    def receive(self, segment: Segment, now: int) -> None:
        """Answer a segment by RST, and probe whether it was accepted."""
        del now
        flow = Flow(segment.destination, segment.source)
        if segment.flags & RST:
            self._peers.pop(flow, None)
            return
        key = key_of(segment, self._peers.get(flow))
        if key is not None:
            self._out.append(_data_ack(segment, key))
        self._out.append(reset(segment, key))
        if flow in self._peers and segment.flags & ACK:
            self._out.append(_question(segment))

    def receive_icmp(self, error: IcmpError, now: int) -> None:
        """Do nothing: the peer is probed again."""

    def next_timer(self) -> int | None:
        """Return when peers are probed again, or ``None`` at the end."""
        return self._due[0] if self._due and self._peers else None

    def handle_timer(self, now: int) -> None:
        """Probe the peers that still have a connection."""
        while self._due and self._due[0] <= now:
            self._due.pop(0)
            if self._due:
                for flow in self._peers:
                    self._out += probes(Flow(*flow))

    def segments_to_send(self, now: int) -> Sequence[Segment]:
        """Return the segments to send now."""
        del now
        out, self._out = self._out, []
        return out

    def next_event(self) -> None:
        """Return ``None``: there are no events."""


def key_of(segment: Segment, known: int | None = None) -> int | None:
    """Return the key of the peer that has sent a segment, if it uses MPTCP.

    :param known: the recorded key of the flow.
    """
    if segment.flags & SYN or not segment.flags & ACK:
        return None
    capable: MpCapable | None = find(segment.options, MpCapable)
    return known if known is not None or capable is None else capable.sender_key


def reset(segment: Segment, key: int | None = None) -> Segment:
    """Return the RST for a segment without a connection (RFC 9293, section 3.10.7.1).

    :param key: the peer's key, if the RST must end an MPTCP connection.
    """
    acknowledged = segment.flags & ACK
    return Segment(
        source=segment.destination,
        destination=segment.source,
        seq=segment.ack if acknowledged else 0,
        ack=0 if acknowledged else (segment.seq + segment.length) & BITS_32,
        flags=RST if acknowledged else RST | ACK,
        options=() if key is None else (MpFastclose(receiver_key=key),),
    )


def _data_ack(segment: Segment, key: int) -> Segment:
    """Return an ACK for a segment with a Data ACK that acknowledges no data."""
    return Segment(
        source=segment.destination,
        destination=segment.source,
        seq=segment.ack,
        ack=(segment.seq + segment.length) & BITS_32,
        flags=ACK,
        options=(Dss(data_ack=(initial_dsn(key) + 1) & BITS_64),),
    )


def _question(segment: Segment) -> Segment:
    """Return a segment outside of the window of the peer that sent a segment."""
    return Segment(
        source=segment.destination,
        destination=segment.source,
        seq=(segment.ack - 1) & BITS_32,
        ack=segment.seq,
        flags=ACK,
    )
