"""The news of one ACK about sent data."""

from __future__ import annotations

import msgspec

from testbed.stack.tcp.sent import Sent


class Acknowledgment(msgspec.Struct, gc=False):
    """The news of an ACK.

    :param una: SND.UNA from now on; ``advanced`` by so many octets.
    :param end: SND.NXT.
    :param delivered: what it acknowledges for the first time; ``sacked`` selectively.
    :param echo_sent_ns: the segment that the peer's timestamp answers left then, not earlier, in
        the clock's coarse ticks; ``None`` if there is no telling.
    :param marked: it has ECN-Echo.
    """

    una: int
    advanced: int
    end: int
    delivered: list[Sent]
    sacked: list[Sent]
    echo_sent_ns: int | None
    marked: bool
