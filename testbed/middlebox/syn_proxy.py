"""A box that answers SYNs for a server, and connects to it after the client has answered.

It does what Linux's target SYNPROXY does (iptables-extensions(8)), but it keeps the state of each
connection in memory instead of a cookie. It has to answer before it knows the server's options. So
it offers only options that it can translate or relay: the MSS, window scaling and SACK, but no
timestamps, and no option of MPTCP.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Annotated, Final

import msgspec

from testbed.middlebox.base import Chance, Middlebox, other_end
from testbed.middlebox.kind import Kind, Options, Site
from testbed.packet.address import Flow
from testbed.packet.options import (
    MaximumSegmentSize,
    Option,
    Sack,
    SackPermitted,
    WindowScale,
    find,
)
from testbed.packet.segment import ACK, RST, SYN, Segment
from testbed.packet.sequence import BITS_32

_KEPT: Final = (MaximumSegmentSize, WindowScale, SackPermitted)  # options that the server gets
_MOST: Final = 0xFFFF  # maximum window of the header field


class SynProxyOptions(Options, frozen=True, kw_only=True):
    """Answers SYNs in the place of a server."""

    protects: Annotated[str, msgspec.Meta(description="The node at the server's end of the link.")]
    mss: Annotated[
        int, msgspec.Meta(ge=64, le=65_495, description="The MSS that it announces to clients.")
    ] = 1400
    window_scale: Annotated[
        int, msgspec.Meta(ge=0, le=14, description="The window scale that it announces to clients.")
    ] = 7


class _Phase(enum.Enum):
    ANSWERED = enum.auto()  # the client was sent a SYN/ACK
    ASKED = enum.auto()  # the client has answered, and the server was sent a SYN
    OPEN = enum.auto()


class SynProxy(Middlebox):
    """A SYN proxy.

    :param random: the random source for initial sequence numbers.
    :param protects: the server's end of the link, ``a`` or ``b``.
    :param mss: the MSS that it sends to clients, as ``window_scale``.
    """

    def __init__(self, random: Chance, *, protects: str, mss: int, window_scale: int) -> None:
        self._random = random
        self._protects = protects
        self._mss = mss
        self._window_scale = window_scale
        self._connections: dict[Flow, _Connection] = {}
        self._answers: list[tuple[str, Segment]] = []
        self._due: int | None = None

    def process(self, segment: Segment, toward: str, now: int) -> Iterable[Segment]:
        """Return the segment to forward, if there is one."""
        if toward == self._protects:
            return self._from_client(segment, now)
        return self._from_server(segment, now)

    def next_timer(self) -> int | None:
        """Return the time to send the answers: at once."""
        return self._due

    def handle_timer(self, now: int) -> Iterable[tuple[str, Segment]]:
        """Return the answers."""
        answers, self._answers, self._due = self._answers, [], None
        return answers

    def _answer(self, toward: str, segment: Segment, now: int) -> None:
        self._answers.append((toward, segment))
        self._due = now if self._due is None else self._due

    def _from_client(self, segment: Segment, now: int) -> Iterable[Segment]:
        flow = Flow(segment.source, segment.destination)
        known = self._connections.get(flow)
        if segment.flags & (SYN | ACK | RST) == SYN:
            if known is None or known.syn.seq != segment.seq:
                known = _Connection(segment, self._random.getrandbits(32), self._window_scale)
                self._connections[flow] = known
            if known.phase is _Phase.ANSWERED:
                self._answer(other_end(self._protects), known.syn_ack(self._mss), now)
            return ()
        if known is None:
            return (segment,)  # the connection is older than the box's state
        if segment.flags & RST:
            del self._connections[flow]
            return (known.there(segment),) if known.phase is _Phase.OPEN else ()
        if known.phase is _Phase.OPEN:
            return (known.there(segment),)
        if not known.proves(segment):
            return ()
        known.phase = _Phase.ASKED
        return (known.syn_to_server(),)  # repeated for each segment, until the server answers

    def _from_server(self, segment: Segment, now: int) -> Iterable[Segment]:
        flow = Flow(segment.destination, segment.source)
        known = self._connections.get(flow)
        if known is None:
            return (segment,)
        if segment.flags & RST:
            del self._connections[flow]
            return (known.refused(segment) if known.phase is _Phase.ASKED else known.back(segment),)
        if segment.flags & SYN:
            if known.phase is _Phase.ANSWERED:
                return ()
            opened = known.phase is _Phase.ASKED
            known.opened_by(segment)
            self._answer(self._protects, known.third_ack(segment), now)
            return (known.window_update(segment),) if opened else ()
        return (known.back(segment),) if known.phase is _Phase.OPEN else ()


class _Connection:
    """The state of a connection.

    :param syn: the client's SYN.
    :param isn: the initial sequence number that the client gets in place of the server's.
    :param scale: the window shift that the client gets in place of the server's.
    """

    def __init__(self, syn: Segment, isn: int, scale: int) -> None:
        self.syn = syn
        self.phase = _Phase.ANSWERED
        self._isn = isn
        self._offset = 0  # the client's sequence numbers less the server's
        offered = find(syn.options, WindowScale)
        self._told = scale if offered is not None else 0
        self._client_shift: int = offered.shift if offered is not None else 0
        self._server_shift = 0
        self._server_scales = False

    def syn_ack(self, mss: int) -> Segment:
        """Return the answer to the SYN, with a window of 0 until the server has answered."""
        options: list[Option] = [MaximumSegmentSize(mss)]
        if find(self.syn.options, SackPermitted) is not None:
            options.append(SackPermitted())
        if find(self.syn.options, WindowScale) is not None:
            options.append(WindowScale(self._told))
        return Segment(
            source=self.syn.destination,
            destination=self.syn.source,
            seq=self._isn,
            ack=self.syn.seq + 1 & BITS_32,
            flags=SYN | ACK,
            options=tuple(options),
        )

    def proves(self, segment: Segment) -> bool:
        """Return whether a segment shows that its sender has received the SYN/ACK."""
        return bool(segment.flags & ACK) and segment.ack == self._isn + 1 & BITS_32

    def syn_to_server(self) -> Segment:
        options = tuple(each for each in self.syn.options if isinstance(each, _KEPT))
        return msgspec.structs.replace(self.syn, flags=SYN, options=options, payload=b"")

    def opened_by(self, syn_ack: Segment) -> None:
        self.phase = _Phase.OPEN
        self._offset = self._isn - syn_ack.seq
        scale = find(syn_ack.options, WindowScale)
        self._server_scales = scale is not None
        self._server_shift = 0 if scale is None else scale.shift

    def third_ack(self, syn_ack: Segment) -> Segment:
        """Return the answer to the server's SYN/ACK."""
        return Segment(
            source=self.syn.source,
            destination=self.syn.destination,
            seq=self.syn.seq + 1 & BITS_32,
            ack=syn_ack.seq + 1 & BITS_32,
            flags=ACK,
            window=self._to_server(self.syn.window >> self._client_shift),
        )

    def window_update(self, syn_ack: Segment) -> Segment:
        """Return a segment for the client with the window of the server's SYN/ACK."""
        return Segment(
            source=syn_ack.source,
            destination=syn_ack.destination,
            seq=self._isn + 1 & BITS_32,
            ack=self.syn.seq + 1 & BITS_32,
            flags=ACK,
            window=min(
                _MOST, syn_ack.window >> self._told
            ),  # the window of a SYN/ACK is not scaled
        )

    def refused(self, segment: Segment) -> Segment:
        """Return the server's RST with a number that the client accepts."""
        return msgspec.structs.replace(segment, seq=self._isn + 1 & BITS_32)

    def there(self, segment: Segment) -> Segment:
        """Return a client's segment with the numbers of the server."""
        return msgspec.structs.replace(
            segment,
            ack=segment.ack - self._offset & BITS_32 if segment.flags & ACK else segment.ack,
            window=self._to_server(segment.window),
            options=tuple(self._sacked(each) for each in segment.options),
        )

    def back(self, segment: Segment) -> Segment:
        """Return a server's segment with the numbers of the client."""
        return msgspec.structs.replace(
            segment,
            seq=segment.seq + self._offset & BITS_32,
            window=min(_MOST, (segment.window << self._server_shift) >> self._told),
        )

    def _to_server(self, window: int) -> int:
        """Return a client's window for the server, which may not support window scaling."""
        return window if self._server_scales else min(_MOST, window << self._client_shift)

    def _sacked(self, option: Option) -> Option:
        if not isinstance(option, Sack):
            return option
        edges = ((left - self._offset, right - self._offset) for left, right in option.blocks)
        return Sack(tuple((left & BITS_32, right & BITS_32) for left, right in edges))


def _make(chosen: SynProxyOptions, site: Site) -> Middlebox:
    return SynProxy(
        site.random,
        protects=site.end(chosen.protects),
        mss=chosen.mss,
        window_scale=chosen.window_scale,
    )


KIND = Kind(options=SynProxyOptions, make=_make)
