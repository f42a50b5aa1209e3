"""One subflow: the MPTCP options and mappings of one TCP connection.

It implements the hooks of :mod:`testbed.stack.tcp.extension`, which only record. The records are in
parts, each of which owns its fields: the handshake (``opening.py``), TCP's state (``phase.py``),
received options (``inbound.py``), the data given to it (``carried.py``) and how fast that is
delivered (``pace.py``), data on SYN (``early_data.py``) and its fallback (``fallback.py``). The
connection processes them in its next step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from testbed.packet.mptcp import MpPrio, MpTcprst, ResetReason
from testbed.packet.options import Option
from testbed.packet.segment import FIN, RST, Segment
from testbed.stack.mptcp import dss, segments
from testbed.stack.mptcp.carried import Carried
from testbed.stack.mptcp.data_level import DataLevel
from testbed.stack.mptcp.early_data import EarlyData
from testbed.stack.mptcp.fallback import Fallback
from testbed.stack.mptcp.handshake import Handshake, Outcome
from testbed.stack.mptcp.inbound import Inbound
from testbed.stack.mptcp.mapping import Mapping
from testbed.stack.mptcp.opening import Opening
from testbed.stack.mptcp.outbox import Outbox
from testbed.stack.mptcp.pace import Pace, sending_ns
from testbed.stack.mptcp.path_manager.base import SubflowPath
from testbed.stack.mptcp.phase import PHASES
from testbed.stack.options import SocketOptions
from testbed.stack.tcp.congestion.control import Group
from testbed.stack.tcp.connection import TcpConnection
from testbed.stack.tcp.extension import Extension, Notice
from testbed.stack.tcp.state import State

DSS_ROOM: Final = 28  # octets of a DSS with a Data ACK and a mapping, both of 8 octets


class Subflow(Extension):
    """A subflow and its records.

    :param number: the number of the subflow in its connection; 0 is the first.
    :param path: its two ends and their address ids.
    :param backup: whether this side wants it to be a backup (section 3.3.8).
    :param initiated: whether this side opened it.
    :ivar peer_backup: whether the peer wants it to be a backup.
    :ivar announced_up: whether the event ``sub_established`` was traced.
    :ivar tcp: its TCP connection, once that exists. Until then ``attached`` is ``None``.
    :ivar begun: whether TCP's handshake was completed, even if the subflow has ended.
    :ivar fallback: whether it has fallen back to plain TCP (section 3.7).
    :ivar stirred: whether it has records since the last step.
    :ivar outside: whether it is half-open: the peer has sent a SYN but not answered ours.
    """

    tcp: TcpConnection

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
        self.peer_backup = False
        self.initiated = initiated
        self.announced_up = False
        self.opening = Opening(handshake)
        self.inbound = Inbound(
            owner.keys,
            owner.outgoing,
            owner.incoming,
            first=not number,
            initiated=initiated,
            before_fin=owner.config.data_acks.before_fin,
        )
        self.carried = Carried()
        self._pace = Pace()
        self.outbox = Outbox()
        self.fallback = False
        self._fallback = Fallback()
        self._owner = owner
        self.phase = PHASES[State.CLOSED]
        self.begun = False
        self.early = EarlyData()
        self.stirred = True
        self.outside = not initiated
        self._stripped = False
        self._answers = False  # the next ACK carries no DATA_FIN
        self._parting: tuple[Option, ...] = ()  # the options of the RST of this subflow
        self.attached: TcpConnection | None = None

    @property
    def peer_key(self) -> int | None:
        """The key of the peer, which MP_FASTCLOSE carries (section 3.5), once it is known."""
        return None if self.fallback else self._owner.keys.remote

    @property
    def token(self) -> int:
        """Our token of its connection (section 3.2)."""
        return self._owner.keys.token

    def attach(self, tcp: TcpConnection) -> None:
        """Set the TCP connection."""
        self.tcp = self.attached = tcp

    def belong_to(self, connection: DataLevel) -> None:
        """Belong to the connection that a half-open one has become."""
        self._owner = connection

    def open_early(self) -> None:
        """Deliver the data of the SYN before the handshake is complete (appendix B)."""
        self._owner.open_early(self)

    def abandon(self) -> None:
        """End before there was a TCP connection."""
        self._owner.discard(self)

    # Methods for the connection.

    def give(self, start: int, length: int, *, in_capable: bool) -> int:
        """Give TCP data to send, with its mapping; return how many octets it took.

        :param start: the position of the data in the data stream.
        :param in_capable: see :class:`Mapping`.
        """
        length = min(length, self.tcp.room)
        if not length:
            return 0
        data = self._owner.outgoing.peek(start, length)
        mapping = self._mapping(start, data, in_capable=in_capable)
        self.tcp.send(data, mapping, eor=self._owner.outgoing.ends_record(start + len(data)))
        self.carried.give(start, len(data))
        return len(data)

    def carries_all_in_flight(self) -> bool:
        """Return whether all data without a Data ACK is in flight here, once and in order."""
        outgoing = self._owner.outgoing
        return self.carried.holds_all(outgoing.una, outgoing.next)

    def data_acked(self) -> int:
        """Return the position up to which this subflow knows that our data is acknowledged.

        After a fallback TCP's ACK is the Data ACK.
        """
        if not self.fallback:
            return self.inbound.data_ack
        end = self._owner.outgoing.end
        acked = self._fallback.data_at(self.tcp.acknowledged - self.early.sent)
        return max(self.inbound.data_ack, min(acked, end))

    def reset(self, reason: ResetReason, *options: Option, transient: bool = False) -> None:
        """Reset the subflow with the reason (section 3.6).

        :param options: options to send before the reason.
        :param transient: whether another attempt on this path may succeed.
        """
        self._parting = (*options, MpTcprst(reason=reason, transient=transient))
        if self.accepted and not self.tcp.closed:
            self._owner.count("MPRstTx")
        self.tcp.abort()

    def send_data_fin(self) -> None:
        """Send DATA_FIN on an ACK, which its connection requires (section 3.3.3)."""
        self._answers = False
        self.opening.let_fin_pass()
        self.tcp.request_ack()

    def answer(self) -> None:
        """Send a Data ACK without DATA_FIN.

        The peer answers a repeated DATA_FIN. If the path drops Data ACKs, the DATA_FINs on the
        answers of both sides would cause others without end.
        """
        self._answers = True
        self.tcp.request_ack()

    def stir(self) -> None:
        """Request a step of the connection that processes this subflow's records."""
        self.stirred = True
        if not self.outside:
            self._owner.touch()

    def enter(self) -> None:
        """Join the connection after the peer's answer or a failure, if not done before."""
        if self.outside:
            self.outside = False
            self._owner.enter(self)

    def calm(self) -> None:
        """Record that its connection looks at what was recorded."""
        self.stirred = False

    def suspect(self) -> None:
        """Let other subflows carry its data as well, until the peer acknowledges something here."""
        self.carried.time_out()
        self.stir()

    def trust(self) -> None:
        """Use it again after an answer of the peer."""
        self.carried.progress()
        self.stir()

    def announce_up(self) -> None:
        """Record that ``sub_established`` was traced."""
        self.announced_up = True

    def ask_backup(self, *, backup: bool) -> None:
        """Send MP_PRIO with the wanted priority (section 3.3.8)."""
        self.asks_backup = backup
        self.outbox.add(MpPrio(backup=backup))
        self._owner.count("MPPrioTx")
        self.stir()

    def asked_backup(self, backup: bool) -> None:
        """Process the peer's MP_PRIO (section 3.3.8)."""
        self.peer_backup = backup

    def fall_back(self) -> None:
        """Fall back to plain TCP (section 3.7)."""
        self.fallback = True
        self.opening.fall_back()
        self.inbound.fall_back()
        self.outbox.clear()  # an option on an ACK would make the peer continue with MPTCP
        if self.attached is not None:
            self.carried.progress()
        self.stir()

    def fall_back_unheard(self) -> None:
        """Fall back although the peer has our key, as its options do not arrive (section 3.7)."""
        self._fallback.announce(self._owner.outgoing.una)
        self.fall_back()

    def fall_back_after_change(self) -> None:
        """Fall back after damaged data (section 3.7)."""
        outgoing = self._owner.outgoing
        self._fallback.begin_after_change(outgoing.una, outgoing.next - self.carried.given)
        self.inbound.await_infinite()
        self.fall_back()

    # Properties.

    @property
    def smoothed_rtt_ns(self) -> int | None:
        """RFC 6298's SRTT."""
        return self.tcp.smoothed_rtt_ns

    @property
    def rtt_variance_ns(self) -> int:
        """RFC 6298's RTTVAR."""
        return self.tcp.rtt_variance_ns

    @property
    def cwnd(self) -> int:
        """The congestion window."""
        return self.tcp.cwnd

    @property
    def in_flight(self) -> int:
        """The octets that were sent and are neither acknowledged nor lost."""
        return self.tcp.in_flight

    @property
    def queued(self) -> int:
        """The octets that it was given and has never sent."""
        return self.tcp.queued

    def lacks(self, start: int, end: int) -> tuple[int, int] | None:
        """Return the first piece between two positions that it does not carry, if any."""
        return self.carried.lacks(start, end)

    def expected_ns(self, octets: int = 0) -> int | None:
        """Return the time until its data and this many octets more are acknowledged.

        ``None`` before there is a sample of the round-trip time.
        """
        return self._pace.expected_ns(self.tcp.sender, octets)

    def sending_ns(self, octets: int) -> int:
        """Return the time to send its data and this many octets more."""
        return sending_ns(self.tcp.sender, octets)

    def within(self, ns: int) -> int:
        """Return how many octets more could be acknowledged in a time; at least one segment."""
        return max(self.segment_size, self._pace.within(self.tcp.sender, ns))

    @property
    def backup(self) -> bool:
        """Whether it is a backup. As in Linux, either side may request that."""
        return self.asks_backup or self.peer_backup

    @property
    def accepted(self) -> bool:
        """Whether the peer has answered the handshake."""
        return self.opening.accepted

    @property
    def confirmed(self) -> bool:
        """Whether both sides know that the handshake is complete."""
        return self.opening.confirmed

    @property
    def refused(self) -> str | None:
        """The reason why it must be reset, or ``None``."""
        return self.opening.refusal or self.inbound.violation

    @property
    def stripped(self) -> bool:
        """Whether only TCP has acknowledged our data, because the path drops options.

        It is also true after the peer has closed the first subflow without options: a peer that has
        fallen back ends its data so.
        """
        inbound = self.inbound
        if self._stripped:
            return True
        return inbound.bare and inbound.unheard and not self.number and self.phase.retired

    @property
    def one_segment_due(self) -> bool:
        """Whether the next octets must be in one segment."""
        return self._fallback.beginning is not None

    @property
    def usable(self) -> bool:
        """Whether it may be given data: it works, and neither side has closed it."""
        opening = self.opening
        if not opening.accepted:
            return self.early.may_answer and self.phase.state is State.SYN_RECEIVED
        return (opening.confirmed or self.number == 0) and self.phase.sends

    @property
    def segment_size(self) -> int:
        """The payload of a full segment in octets, less the room for DSS if it is used.

        It is at most what TCP's buffer takes at once.
        """
        plain = self.fallback and self._fallback.beginning is None
        tcp = self.tcp
        return max(1, min(tcp.sender.mss - (0 if plain else DSS_ROOM), tcp.config.send_buffer))

    # Hooks of testbed.stack.tcp.extension.Extension.

    def socket_options(self, given: SocketOptions) -> SocketOptions:
        """Return the options of its connection. They do not depend on the port of a join."""
        del given  # the connection has these options of its first subflow
        return self._owner.subflow_options

    def options(self, flags: int, ext: Any, room: int) -> Sequence[Option]:
        """Return the options for a segment."""
        keys = self._owner.keys
        if self.fallback:
            return self._plain_options(flags, ext)
        if flags & RST:
            return segments.on_reset(keys, self._parting, room, aborting=self._owner.aborts(self))
        options = self.opening.options(flags, ext)
        if options is not None:
            return options
        acks = self._owner.config.data_acks
        if self.phase.state is State.TIME_WAIT and not acks.in_time_wait:
            return ()
        ack = self._owner.incoming.ack
        answers, self._answers = self._answers, False
        if self.inbound.take_fin_waits():
            self.stir()
        if ext is not None:
            return segments.on_data(keys, ext, ack)
        fin = self._owner.outgoing.end if self._owner.fin_due and not answers else None
        options = segments.on_ack(keys, ack, fin, self.outbox, room, acks)
        if self.outbox.waiting:
            self.stir()  # for another ACK: each ACK carries one signal
        return options

    def received(self, segment: Segment, start: int) -> Notice:
        """Record the options of a segment."""
        if self.fallback:
            said = self._fallback.changed and self.inbound.take_plain(
                segment, start - self.early.received, authentic=self.tcp.expects(start)
            )
            if said or segment.payload:
                self.stir()
            return Notice.PLAIN
        self.stir()
        authentic = self.attached is not None and self.attached.expects(start)
        if not self.opening.over:
            notice = self._shake(segment, authentic=authentic)
            if notice is not None:
                return notice
        signal = self.inbound.take(
            segment,
            start - self.early.received,
            confirmed=self.opening.confirmed,
            authentic=authentic,
        )
        if self.refused is not None:
            return Notice.REFUSED
        return Notice.SIGNAL if signal else Notice.PLAIN

    def group(self) -> Group:
        """Return the group of congestion controls of the connection."""
        return self._owner.controls

    def window(self) -> int | None:
        """Return the window that all subflows share (section 3.3.4)."""
        if self.fallback or self._owner.keys.remote is None:
            return None
        return self._owner.incoming.window

    def window_counts(self, window: int) -> bool:
        """Return whether a window counts: only together with a Data ACK (section 3.3.4)."""
        return self.inbound.window_counts(window)

    def state_changed(self, old: State, new: State) -> None:
        """Record the state of TCP."""
        self.phase = PHASES[new]
        self.begun |= new is State.ESTABLISHED
        if self.outside and new is State.CLOSED:
            self._owner.discard(self)
        if old is State.SYN_SENT and new is State.ESTABLISHED:
            self.early.acknowledged(self.tcp.acknowledged)
        elif old is State.SYN_SENT and new is State.SYN_RECEIVED:
            self.early.acknowledged(self.tcp.unsent)  # after crossed SYNs, plain TCP delivers it
        self.stir()

    def timed_out(self) -> None:
        """Record the expiry of TCP's retransmission timer."""
        self.carried.time_out()
        self.stir()

    def acked(self, position: int) -> None:
        """Record an acknowledgment. After a fallback it is the Data ACK."""
        self.carried.progress()
        self._pace.acknowledged(self.tcp.sender)
        self._stripped |= self.inbound.mute and self.inbound.unheard and position > self.early.sent
        if self.fallback:  # without fallback, ``received`` has done it
            self.stir()

    # Work of the hooks.

    def _shake(self, segment: Segment, *, authentic: bool) -> Notice | None:
        """Pass a segment to the handshake; return an answer if its options must be ignored."""
        outcome, notice = self.opening.received(segment, authentic=authentic)
        if outcome is not Outcome.PENDING:
            self.enter()
        if outcome in (Outcome.ACCEPTED, Outcome.CONFIRMED):
            self.peer_backup |= self.opening.peer_backup
            if self.opening.peer_id is not None:
                self.path = msgspec.structs.replace(self.path, remote_id=self.opening.peer_id)
            self.inbound.owe_ack()
            if outcome is Outcome.ACCEPTED and self.opening.peer_backup:
                self._owner.count("MPJoinSynAckBackupRx")
        elif outcome is Outcome.REFUSED and self.opening.counter:
            self._owner.count(self.opening.counter)
        elif outcome is Outcome.FALLBACK and (self.carried.given or self.accepted):
            self.fall_back_unheard()
        elif outcome is Outcome.FALLBACK:
            self.fall_back()
        return notice

    def _plain_options(self, flags: int, mapping: Mapping | None) -> Sequence[Option]:
        if mapping is None and self.phase.closing and (flags & FIN or not self.outbox.waiting):
            mapping = self._fallback.beginning
        acked = None
        if self.inbound.acks_data:
            # In the peer's own count: the path may have changed how much has arrived.
            acked = self.inbound.mapped + self._owner.incoming.finished
        options = segments.after_fallback(self._owner.keys, mapping, self.outbox, acked)
        if self.outbox.waiting and mapping is None:
            self.stir()
        return options

    def _mapping(self, start: int, data: bytes, *, in_capable: bool) -> Mapping | None:
        """Return the mapping of its next octets. In plain TCP it has no meaning."""
        if self.fallback:
            if self._fallback.beginning is not None:
                self._owner.count("InfiniteMapTx")
            return self._fallback.next_mapping()
        given = self.carried.given
        return dss.new_mapping(self._owner.keys, data, start, given, in_capable=in_capable)
