"""What one ACK reports about sent data."""

from __future__ import annotations

import msgspec

from testbed.stack.tcp.sent import Sent


class Acknowledgment(msgspec.Struct, gc=False):
    """What an ACK reports.

    :param una: the new SND.UNA. It has advanced by ``advanced`` octets.
    :param end: SND.NXT.
    :param delivered: the newly acknowledged octets. ``sacked`` of them are selectively
        acknowledged.
    :param echo_sent_ns: the send time of the segment that the peer's timestamp echoes, rounded down
        to the tick of the timestamp clock; ``None`` if unknown.
    :param marked: whether it has ECN-Echo.
    """

    una: int
    advanced: int
    end: int
    delivered: list[Sent]
    sacked: list[Sent]
    echo_sent_ns: int | None
    marked: bool
