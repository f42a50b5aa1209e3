"""One subflow: what MPTCP puts on, and takes from, the segments of one TCP connection.

It implements the hooks of :mod:`testbed.stack.tcp.extension`.  They only record: the connection
acts on the records in its next step.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Final, Protocol

from testbed.stack.mptcp.handshake import Handshake, Outcome
from testbed.stack.mptcp.keys import Keys
from testbed.stack.mptcp.mapping import Mapping, ReceivedMappings
from testbed.stack.mptcp.path_manager import SubflowPath
from testbed.stack.mptcp.streams import ReceiveStream, SendStream
from testbed.stack.packet.mptcp import Dss, MpCapable, MpFastclose, MpJoinAck, MptcpOption
from testbed.stack.packet.options import Option
from testbed.stack.packet.segment import RST, SYN, Segment
from testbed.stack.packet.sequence import expand
from testbed.stack.ranges import Ranges
from testbed.stack.tcp.connection import TcpConnection
from testbed.stack.tcp.extension import Notice
from testbed.stack.tcp.state import State

_S: Final = 1_000_000_000
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

    def touch(self) -> None:
        """Ask for a step: something was recorded."""


class Subflow:
    """A subflow and what was recorded of it.

    :param number: counts the subflows of a connection.
    :param path: its two ends and their address ids.
    :param backup: to be used only when no other is there (section 3.3.8).
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
        self.backup = backup
        self.initiated = initiated
        self.handshake: Handshake | None = handshake
        self.accepted = False  # the peer has answered the handshake
        self.confirmed = False  # ... and knows that we have; only now may data be scheduled
        self.fallback = False  # plain TCP (section 3.7)
        self.stirred = True  # something was recorded since the last step
        self.join_denied = False  # the peer takes no join to its end's address
        self.refused: str | None = None  # why it must be reset
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
        self._introduced = False  # our first ACK has left, with what the handshake says
        self._window_from: int | None = 0  # the Data ACK that came with the last window
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
    def segment_size(self) -> int:
        """Octets of payload in a full segment with DSS."""
        return max(1, self.tcp.mss - (0 if self.fallback else DSS_ROOM))

    # Hooks of testbed.stack.tcp.extension.Extension.

    def options(self, flags: int, ext: Any, room: int) -> Sequence[Option]:
        """Return the options for a segment."""
        if self.fallback:
            return ()
        if flags & RST:
            return self._reset_options(room)
        if self.handshake is not None:
            options = self._handshake_options(self.handshake, flags, ext)
            if options is not None:
                return options
        elif flags & SYN:
            return ()
        return self._data_options(ext) if ext is not None else self._ack_options(room)

    def received(self, segment: Segment, start: int) -> Notice:
        """Record what a segment says."""
        if self.fallback:
            if segment.payload:
                self.stir()
            return Notice.PLAIN
        self.stir()
        if self.handshake is not None:
            notice = self._shake(self.handshake, segment)
            if notice is not None:
                return notice
        return Notice.SIGNAL if self._record(segment, start) else Notice.PLAIN

    def window(self) -> int | None:
        """Return the window all subflows share (section 3.3.4)."""
        if self.fallback or self._owner.keys.remote is None:
            return None
        incoming = self._owner.incoming
        return max(0, incoming.edge - incoming.next)

    def window_counts(self, window: int) -> bool:
        """Use a window only together with a Data ACK, and relative to it (section 3.3.4)."""
        if self._window_from is None:
            return False
        outgoing = self._owner.outgoing
        outgoing.edge = max(outgoing.edge, self._window_from + window)
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
            outgoing.acked(min(position, outgoing.end))
        self.stir()

    # What the hooks do.

    def _shake(self, handshake: Handshake, segment: Segment) -> Notice | None:
        """Let the handshake see a segment; return an answer to TCP if its options do not count."""
        outcome = handshake.received(segment)
        if outcome in (Outcome.ACCEPTED, Outcome.CONFIRMED):
            self.accepted = True
            self.backup |= handshake.peer_backup
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
        self._window_from = 0
        if self._tcp is not None:
            self.acked(self._tcp.acknowledged)

    def _record(self, segment: Segment, start: int) -> bool:
        """Take in the options; tell whether they are a message, so that it is no duplicate ACK."""
        signal = False
        self.bare = True
        self._window_from = None if self.confirmed else 0
        for option in segment.options:
            if not isinstance(option, MptcpOption):
                continue
            self.bare = False
            if isinstance(option, Dss):
                signal |= self._dss(option, start)
            elif isinstance(option, MpCapable):
                if option.data_length and not (self.number or self.initiated):
                    self._map(0, 0, option.data_length)
            else:
                signal = True
                if isinstance(option, MpFastclose):
                    self.fastclosed |= option.receiver_key == self._owner.keys.local
                elif not isinstance(option, MpJoinAck) or not self.initiated:
                    self.inbox.append(option)
        return signal

    def _dss(self, dss: Dss, start: int) -> bool:
        """Take a Data ACK (section 3.3.2) and a mapping (section 3.3.1)."""
        outgoing = self._owner.outgoing
        news = False
        if dss.data_ack is not None:
            una = outgoing.una
            position = self._owner.keys.outgoing.position(dss.data_ack, wide=dss.wide_ack, near=una)
            self.unheard = False
            if position <= outgoing.next + outgoing.fin_sent:
                outgoing.acked(position)
                news = outgoing.una != una
                self._window_from = position
        if dss.dsn is not None:
            news |= self._received_mapping(dss, dss.dsn, start)
        return news

    def _received_mapping(self, dss: Dss, dsn: int, start: int) -> bool:
        """Note a mapping or DATA_FIN; tell whether it is DATA_FIN."""
        incoming = self._owner.incoming
        data = self._owner.keys.incoming.position(dsn, wide=dss.wide_dsn, near=incoming.next)
        length = dss.length
        if dss.data_fin and length:
            length -= 1
            self.ack_due |= incoming.finished
            incoming.finish(data + length)
        if length:
            # Subflow sequence numbers in DSS are relative to the ISN: the first octet has 1.
            subflow = expand(dss.subflow_seq, start + 1) - 1
            self._map(data, subflow, length)
        return dss.data_fin

    def _map(self, data: int, subflow: int, length: int) -> None:
        self.mappings.add(Mapping(data=data, subflow=subflow, length=length))

    def _data_options(self, mapping: Mapping) -> Sequence[Option]:
        """Return the DSS of octets that are data: their mapping, and a Data ACK beside."""
        keys = self._owner.keys
        dss = Dss(
            data_ack=keys.incoming.number(self._owner.incoming.ack),
            dsn=keys.outgoing.number(mapping.data),
            subflow_seq=(mapping.subflow + 1) & 0xFFFF_FFFF,
            length=mapping.length,
        )
        return (dss,)

    def _ack_options(self, room: int) -> Sequence[Option]:
        """Return the options of a segment without data: a Data ACK, DATA_FIN, one signal."""
        keys, outgoing = self._owner.keys, self._owner.outgoing
        ack = keys.incoming.number(self._owner.incoming.ack)
        if self.signals:
            return self._signal(ack, room)
        if self._owner.fin_due:
            # A DATA_FIN on its own is mapped to subflow sequence 0 (section 3.3.3).
            fin = keys.outgoing.number(outgoing.end)
            return (Dss(data_ack=ack, dsn=fin, subflow_seq=0, length=1, data_fin=True),)
        return (Dss(data_ack=ack),)

    def _signal(self, ack: int, room: int) -> Sequence[Option]:
        """Return the next signal, with a Data ACK if both fit."""
        signal = self.signals.popleft()
        if self.signals:
            self.stir()  # for another ACK: each carries one
        dss = Dss(data_ack=ack)
        fits = signal.size + dss.size <= room
        return (dss, signal) if fits else (signal,)

    def _reset_options(self, room: int) -> Sequence[Option]:
        """Return what a RST says: MP_FASTCLOSE when the whole connection ends (section 3.5)."""
        remote = self._owner.keys.remote
        if not self._owner.aborting or remote is None:
            return ()
        option = MpFastclose(receiver_key=remote)
        return (option,) if option.size <= room else ()
