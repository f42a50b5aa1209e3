"""One subflow: what MPTCP puts on, and takes from, the segments of one TCP connection.

It implements the hooks of :mod:`testbed.stack.tcp.extension`.  They only record: the connection
acts on the records in its next step.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Final, Protocol

from testbed.stack.mptcp import dss, record, segments
from testbed.stack.mptcp.handshake import Handshake, Outcome
from testbed.stack.mptcp.keys import Keys
from testbed.stack.mptcp.mapping import Mapping, ReceivedMappings, Run
from testbed.stack.mptcp.path_manager import SubflowPath
from testbed.stack.mptcp.streams import ReceiveStream, SendStream
from testbed.stack.packet.mptcp import MpPrio, MpTcprst, ResetReason
from testbed.stack.packet.options import Option
from testbed.stack.packet.segment import RST, SYN, Segment
from testbed.stack.ranges import Ranges
from testbed.stack.tcp.congestion.control import Group
from testbed.stack.tcp.connection import TcpConnection
from testbed.stack.tcp.extension import Notice
from testbed.stack.tcp.state import State

_S: Final = 1_000_000_000
_PLAIN: Final = Mapping(data=0, subflow=0, length=1)  # tells octets from an ACK without any
DSS_ROOM: Final = 28  # octets of a DSS with Data ACK and mapping, both of 8 octets


class DataLevel(Protocol):
    """What a subflow needs of its connection."""

    keys: Keys
    subflows: list[Subflow]
    outgoing: SendStream
    incoming: ReceiveStream
    aborting: bool  # a RST carries MP_FASTCLOSE
    fallback: bool  # it goes on as plain TCP (section 3.7)

    @property
    def fin_due(self) -> bool:
        """Whether DATA_FIN goes on each ACK without data."""

    @property
    def controls(self) -> Group:
        """The congestion controls of all its subflows."""

    def touch(self) -> None:
        """Ask for a step: something was recorded."""


class Subflow:
    """A subflow and what was recorded of it.

    :param number: counts the subflows of a connection.
    :param path: its two ends and their address ids.
    :param backup: this side wants it to be used only when no other is there (section 3.3.8).
    :param initiated: by this side.
    """

    def __init__(
        self,
        owner: DataLevel,
        handshake: Handshake,
        *,
        number: int,
        path: SubflowPath,
        backup: bool,
        initiated: bool,
    ) -> None:
        self.number = number
        self.path = path
        self.asks_backup = backup
        self.peer_backup = False  # ... and so does the peer
        self.initiated = initiated
        self.handshake: Handshake | None = handshake
        self.accepted = False  # the peer has answered the handshake
        self.confirmed = False  # ... and knows that we have; only now may data be scheduled
        self.fallback = False  # plain TCP (section 3.7)
        self.stirred = True  # something was recorded since the last step
        self.join_denied = False  # the peer takes no join to its end's address
        self.refused: str | None = None  # why it must be reset
        self.parting: tuple[Option, ...] = ()  # what its RST says
        self.peer_reset: MpTcprst | None = None  # what the peer's RST says
        self.told = False  # MP_FAIL has come: the peer wants plain TCP
        self.infinite: Mapping | None = None  # ... and has sent an infinite mapping
        self.damaged: Mapping | None = None  # one whose checksum was wrong: nothing is read now
        self.held = b""  # its octets, taken from TCP and given to nobody
        self.mapped = 0  # position in the data stream before which all was mapped here
        self.changed = False  # it is plain TCP since data was changed on the way
        self.acks_data = False  # ... but the peer may still wait for Data ACKs
        self.last: tuple[int, int] | None = None  # where its DATA_FIN is then, in both streams
        self.fastclosed = False  # MP_FASTCLOSE has come
        self.announced_up = False  # the path manager's event has been told
        self.stale = False  # its retransmission timer has expired, and nothing came since
        self.retransmitted = False  # ... since the last step
        self.position = 0  # octets of its stream that were read
        self.given = 0  # octets of our stream that were given to it
        self.mappings = ReceivedMappings()
        self.carried = Ranges()  # data given to it, until the Data ACK
        self.signals: deque[Option] = deque()  # each to ride on an ACK of its own
        self.inbox: deque[Option] = deque()  # received, to be dealt with
        self.ack_due = False  # the peer's DATA_FIN has come again: its Data ACK was lost
        self.fin_first = False  # the next ACK carries DATA_FIN, confirmed or not
        self.bare = False  # the last segment had no option of MPTCP at all
        self.unheard = True  # no Data ACK has come on it
        self.stripped = False  # our data was acknowledged by TCP alone: options vanish on the way
        self.join_retry_ns: int | None = None  # when the third ACK is sent again
        self.join_tries = 0
        self.tcp_state = State.CLOSED
        self._owner = owner
        self._run = Run()
        self._shift = 0  # after a fallback: from the positions of our stream here to those of data
        self.beginning: Mapping | None = None  # the infinite mapping, until octets go with it
        self._introduced = False  # our first ACK has left, with what the handshake says
        self.window_from: int | None = 0  # the Data ACK that came with the last window
        self._tcp: TcpConnection | None = None

    @property
    def tcp(self) -> TcpConnection:
        """The TCP connection it rides on."""
        assert self._tcp is not None  # noqa: S101 - attached as soon as both exist
        return self._tcp

    def attach(self, tcp: TcpConnection) -> None:
        """Note the TCP connection."""
        self._tcp = tcp

    def discard(self) -> None:
        """Leave the connection: there will be no TCP connection."""
        self._owner.subflows.remove(self)
        self.stir()

    def map(self, start: int, data: bytes, *, in_capable: bool) -> Mapping | None:
        """Return the mapping of octets that are its next ones; one without meaning in plain TCP.

        :param start: their position in the data stream.
        :param in_capable: see :class:`Mapping`.
        """
        self._run.give(start, len(data))
        if not self.fallback:
            return dss.new_mapping(self._owner.keys, data, start, self.given, in_capable=in_capable)
        mapping, self.beginning = self.beginning or (_PLAIN if self.changed else None), None
        return mapping

    def carries_all_in_flight(self) -> bool:
        """Tell whether all data without Data ACK is on its way here, once and in order."""
        outgoing = self._owner.outgoing
        return self._run.covers(outgoing.una, outgoing.next)

    def reset(self, reason: ResetReason, *options: Option, transient: bool = False) -> None:
        """End it with RST that says why (section 3.6).

        :param options: that go before the reason.
        :param transient: another attempt on this path may succeed.
        """
        self.parting = (*options, MpTcprst(reason=reason, transient=transient))
        self.tcp.abort()

    def stir(self) -> None:
        """Ask its connection for a step that looks at it: something was recorded."""
        self.stirred = True
        self._owner.touch()

    @property
    def smoothed_rtt_ns(self) -> int | None:
        """RFC 6298's SRTT."""
        return self.tcp.smoothed_rtt_ns

    def expected_ns(self, octets: int = 0) -> int | None:
        """Return how long it takes until what it has, and so many octets more, is acknowledged.

        At the rate its path has delivered of late; a smoothed round-trip time tells too late of
        the queue that a burst makes.  ``None`` before there is a sample of the round-trip time.
        """
        minimum = self.tcp.min_rtt_ns
        if minimum is None:
            return None
        return max(minimum, (self._ahead + octets) * _S // self._rate)

    def within(self, ns: int) -> int:
        """Return how many octets more could be acknowledged in a time: at least one segment."""
        return max(self.segment_size, self._rate * ns // _S - self._ahead)

    @property
    def _ahead(self) -> int:
        """Octets that are before what is given next."""
        return self.tcp.in_flight + self.tcp.queued

    @property
    def _rate(self) -> int:
        """Octets per second; until that is measured, a congestion window per round-trip time."""
        tcp = self.tcp
        return tcp.delivery_rate or max(1, tcp.cwnd * _S // max(1, tcp.smoothed_rtt_ns or 0))

    @property
    def backup(self) -> bool:
        """Whether it is to be used only when no other is there; as in Linux, either may say so."""
        return self.asks_backup or self.peer_backup

    def ask_backup(self, backup: bool) -> None:
        """Tell the peer what is wanted from now on (section 3.3.8)."""
        self.asks_backup = backup
        self.signals.append(MpPrio(backup=backup))
        self.stir()

    @property
    def usable(self) -> bool:
        """Whether data may be given to it: it is whole and neither side has closed it."""
        return self.accepted and (self.confirmed or self.number == 0) and self.sends

    @property
    def sends(self) -> bool:
        """Whether TCP lets it send."""
        return self.tcp_state in (State.ESTABLISHED, State.CLOSE_WAIT)

    @property
    def ended(self) -> bool:
        """Whether everything has come that ever will: the peer has closed its side of it."""
        return self.tcp_state in (
            State.CLOSE_WAIT,
            State.LAST_ACK,
            State.CLOSING,
            State.TIME_WAIT,
        )

    @property
    def closing(self) -> bool:
        """Whether our FIN is on its way."""
        return self.tcp_state in (State.FIN_WAIT_1, State.CLOSING, State.LAST_ACK)

    @property
    def segment_size(self) -> int:
        """Octets of payload in a full segment with DSS, where there is one."""
        plain = self.fallback and self.beginning is None
        return max(1, self.tcp.mss - (0 if plain else DSS_ROOM))

    # Hooks of testbed.stack.tcp.extension.Extension.

    def options(self, flags: int, ext: Any, room: int) -> Sequence[Option]:
        """Return the options for a segment."""
        if self.fallback:
            return segments.after_fallback(self._owner, self, ext)
        if flags & RST:
            return segments.on_reset(self._owner, self, room)
        if self.handshake is not None:
            options = self._handshake_options(self.handshake, flags, ext)
            if options is not None:
                return options
        elif flags & SYN:
            return ()
        if ext is not None:
            return segments.on_data(self._owner, ext)
        return segments.on_ack(self._owner, self, room)

    def received(self, segment: Segment, start: int) -> Notice:
        """Record what a segment says."""
        if self.fallback:
            self._received_plain(segment, start)
            return Notice.PLAIN
        self.stir()
        if self.handshake is not None:
            notice = self._shake(self.handshake, segment)
            if notice is not None:
                return notice
        signal = record.options(self._owner, self, segment, start)
        if self.refused is not None:
            return Notice.REFUSED
        return Notice.SIGNAL if signal else Notice.PLAIN

    def group(self) -> Group:
        """Return the group of congestion controls that this subflow's belongs to."""
        return self._owner.controls

    def window(self) -> int | None:
        """Return the window all subflows share (section 3.3.4)."""
        if self.fallback or self._owner.keys.remote is None:
            return None
        incoming = self._owner.incoming
        return max(0, incoming.edge - incoming.next)

    def window_counts(self, window: int) -> bool:
        """Use a window only together with a Data ACK, and relative to it (section 3.3.4)."""
        if self.window_from is None:
            return False
        outgoing = self._owner.outgoing
        outgoing.edge = max(outgoing.edge, self.window_from + window)
        return True

    def state_changed(self, old: State, new: State) -> None:  # noqa: ARG002 - the hook's signature
        """Record TCP's state."""
        self.tcp_state = new
        self.stir()

    def timed_out(self) -> None:
        """Record that TCP's retransmission timer has expired."""
        self.stale = self.retransmitted = True
        self.stir()

    def acked(self, position: int) -> None:
        """Record progress; after a fallback this is the Data ACK."""
        self.stale = False
        self.stripped |= self.bare and self.unheard and position > 0
        if self.fallback:
            outgoing = self._owner.outgoing
            outgoing.acked(min(position + self._shift, outgoing.end))
        self.stir()

    # What the hooks do.

    def _shake(self, handshake: Handshake, segment: Segment) -> Notice | None:
        """Let the handshake see a segment; return an answer to TCP if its options do not count."""
        outcome = handshake.received(segment)
        if outcome in (Outcome.ACCEPTED, Outcome.CONFIRMED):
            self.accepted = True
            self.peer_backup |= handshake.peer_backup
            self.join_denied = handshake.join_denied
            if outcome is Outcome.CONFIRMED:
                self.confirmed = True
                self.handshake = None
        elif outcome is Outcome.FALLBACK:
            self.fall_back()
            return Notice.PLAIN
        elif outcome is Outcome.REFUSED:
            self.refused = handshake.reason
            # After a SYN/ACK TCP has to know the peer's numbers for a RST that it will obey.
            return Notice.PLAIN if segment.flags & SYN else Notice.REFUSED
        elif outcome is Outcome.IGNORED:
            return Notice.REFUSED
        return None

    def _handshake_options(
        self, handshake: Handshake, flags: int, mapping: Mapping | None
    ) -> Sequence[Option] | None:
        """Return the handshake's options.

        A DATA_FIN does not wait for the first Data ACK: without data none would ever come.
        """
        if self.fin_first and self._introduced and mapping is None:
            self.fin_first = False
            return None
        self._introduced |= not flags & SYN
        return handshake.options(flags, mapping)

    def fall_back(self) -> None:
        """Go on as plain TCP (section 3.7)."""
        self._owner.fallback = True
        self.fallback = self.accepted = self.confirmed = True
        self.handshake = None
        self.window_from = 0
        self.signals.clear()  # an option on its ACKs would tell the peer that MPTCP goes on
        self.inbox.clear()
        if self._tcp is not None:
            self.acked(self._tcp.acknowledged)

    def begin_plain(self) -> None:
        """Fall back where data was damaged: the next octets go with an infinite mapping.

        It acts retroactively: it says where the first octet without Data ACK is, the last place
        where both sides know that the streams go together.
        """
        outgoing = self._owner.outgoing
        self._shift = outgoing.next - self.given
        start = outgoing.una
        self.beginning = Mapping(data=start, subflow=start - self._shift, length=0)
        self.changed, self.acks_data = True, self.infinite is None
        self._owner.incoming.forget_end()
        self.fall_back()

    def _received_plain(self, segment: Segment, start: int) -> None:
        """Record what matters after a fallback."""
        if self.changed:
            record.late_options(self._owner, self, segment, start)
        if segment.payload or self.told:
            self.stir()
