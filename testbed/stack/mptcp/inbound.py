"""The received signals and mappings of a subflow, until its connection processes them."""

from __future__ import annotations

from typing import Final

from testbed.packet.mptcp import (
    AddAddr,
    Dss,
    MpCapable,
    MpFail,
    MpFastclose,
    MpJoinAck,
    MptcpOption,
    MpTcprst,
)
from testbed.packet.segment import FIN, RST, Segment
from testbed.stack.mptcp import dss
from testbed.stack.mptcp.keys import Keys
from testbed.stack.mptcp.mapping import Mapping
from testbed.stack.mptcp.received_mappings import ReceivedMappings
from testbed.stack.mptcp.streams import ReceiveStream, SendStream

NOTHING: Final = -1  # before the first position
# Signals that wait for the connection's step, which takes them all unless it has closed.
MOST_MESSAGES: Final = 64
_RECENT: Final = 1 << 30  # how many octets back an MP_FAIL may point


class Inbound:
    """The receiving side of a subflow. Hooks record; the connection's step processes.

    It reads the positions of the connection's streams and does not change them.

    :param initiated: whether this side opened the subflow. ``first`` says whether it is the first
        subflow.
    :ivar data_ack: the highest Data ACK, a position in our stream (section 3.3.2).
    :ivar edge: the right edge of the peer's shared window, a position in our stream (section
        3.3.4).
    :ivar position: how many octets of the subflow's stream were read.
    :ivar skipped: the position after the last octets that were dropped for want of a mapping.
    :ivar mapped: the position in the data stream up to which the peer has mapped data on this
        subflow.
    :ivar infinite: the received infinite mapping (section 3.7).
    :ivar damaged: a mapping with a wrong checksum. Its octets were not delivered, and reading has
        stopped.
    :ivar violation: why the subflow must be reset.
    :ivar fastclosed: whether MP_FASTCLOSE was received (section 3.5).
    :ivar reset: the MP_TCPRST of the peer's RST.
    :ivar bare: whether the last segment, by its numbers one of the peer, had no MPTCP option, or
        only one of a peer that uses plain TCP.
    :ivar mute: whether the last segment was one of the peer, and had neither Data ACK nor signal.
    :ivar unheard: whether no Data ACK was received on this subflow.
    :ivar heard_dss: whether a DSS was received on this subflow.
    :ivar messages: the received options that the connection must process. Only the methods of this
        class change it.
    :ivar unproven: an infinite mapping that a stranger may have sent, and where its segment starts.
    :ivar acks_data: whether the peer may still wait for Data ACKs after a fallback.
    :ivar fin_waits: whether the Data ACK and the DATA_FIN of a segment wait until an ACK of its
        data was sent (``before_fin`` of :class:`testbed.stack.mptcp.config.DataAcks`).
    """

    __slots__ = ("_ack_due", "_before_fin", "_data_fin", "_end", "_fail_came", "_first",
                 "_held", "_incoming", "_initiated", "_keys", "_outgoing", "_shift",
                 "_window_from", "acks_data", "bare", "damaged", "data_ack", "edge",
                 "fastclosed", "fin_waits", "heard_dss", "infinite", "mapped", "mappings",
                 "messages", "mute", "position", "reset", "skipped", "unheard", "unproven",
                 "violation")  # fmt: skip

    def __init__(
        self,
        keys: Keys,
        outgoing: SendStream,
        incoming: ReceiveStream,
        *,
        first: bool,
        initiated: bool,
        before_fin: bool = False,
    ) -> None:
        self.data_ack = NOTHING
        self.edge = NOTHING
        self.position = 0
        self.skipped = NOTHING
        self.mapped = 0
        self.mappings = ReceivedMappings()
        self.infinite: Mapping | None = None
        self.damaged: Mapping | None = None
        self.violation: str | None = None
        self.fastclosed = False
        self.reset: MpTcprst | None = None
        self.bare = False
        self.mute = False
        self.unheard = True
        self.heard_dss = False
        self.acks_data = False
        self.fin_waits = False
        self._before_fin = before_fin
        self._keys = keys
        self._outgoing = outgoing
        self._incoming = incoming
        self._first = first
        self._initiated = initiated
        self._window_from: int | None = 0  # the Data ACK that came with the last window
        self._data_fin: int | None = None  # position of the peer's DATA_FIN (section 3.3.3)
        self.messages: list[MptcpOption] = []  # a list takes less memory than a deque
        self._fail_came = False
        self._ack_due = False  # a Data ACK is due that TCP would not send
        self._held = b""  # octets of a damaged mapping, read from TCP
        # After a fallback, until the peer uses plain TCP: the shift that its mappings must have.
        self._shift: int | None = None
        # After a fallback: positions of its DATA_FIN in both streams.
        self._end: tuple[int, int] | None = None
        self.unproven: tuple[int, Mapping] | None = None

    # Records of the hooks.

    def take(self, segment: Segment, start: int, *, confirmed: bool, authentic: bool) -> bool:
        """Record the options; return whether they are a signal.

        An ACK with a signal is no duplicate ACK.

        :param start: the position of the payload in the subflow's stream.
        :param confirmed: whether the handshake is complete. Then a window counts only with a Data
            ACK.
        :param authentic: whether TCP's numbers prove that the peer sent the segment. Otherwise
            signals without a proof of their own are ignored (section 3.4.2), the absence of options
            means nothing, and a mapping that the peer must not send is dropped without a reset.
        """
        signal, bare = False, True
        self.mute = authentic
        self._window_from = None if confirmed else 0
        for option in segment.options:
            if not isinstance(option, MptcpOption):
                continue
            bare &= _is_of_plain_tcp(option, segment)
            self.mute &= isinstance(option, Dss) and option.data_ack is None
            if isinstance(option, Dss):
                self.heard_dss = True
                signal |= self._dss(option, segment, start, authentic=authentic)
            elif isinstance(option, MpCapable):
                self._capable(option, authentic=authentic)
            else:
                signal = True
                self._message(option, reset=bool(segment.flags & RST), authentic=authentic)
        if authentic:
            self.bare = bare
        return signal

    def take_plain(self, segment: Segment, start: int, *, authentic: bool) -> bool:
        """Process options of a peer that has agreed to plain TCP but may still send mappings.

        Until it sends an infinite mapping it may wait for Data ACKs, and it may end by DATA_FIN
        alone. It may also have sent other data on another subflow before it knew of the fallback.
        Then its mappings have a gap, and no plain stream can continue them. Return whether the
        connection must act.
        """
        found = [option for option in segment.options if isinstance(option, MptcpOption)]
        if authentic and not segment.flags & RST:
            self._fail_came |= any(isinstance(option, MpFail) for option in found)
        if not found:
            self.acks_data = False
        for option in found if self._shift is not None else ():
            if isinstance(option, Dss) and option.dsn is not None:
                self._late_mapping(option, option.dsn, start)
        return self._fail_came or self._ack_due or self.violation is not None

    def window_counts(self, window: int) -> bool:
        """Return whether a window counts: only together with a Data ACK (section 3.3.4)."""
        if self._window_from is None:
            return False
        self.edge = max(self.edge, self._window_from + window)
        return True

    # Methods for the connection.

    def take_message(self) -> MptcpOption:
        """Remove and return the first of ``messages``."""
        return self.messages.pop(0)

    def take_data_fin(self) -> int | None:
        """Return once the position of a received DATA_FIN."""
        position, self._data_fin = self._data_fin, None
        return position

    def take_fin_waits(self) -> bool:
        """Return once whether a DATA_FIN waits for an ACK."""
        waits, self.fin_waits = self.fin_waits, False
        return waits

    def take_fail(self) -> bool:
        """Return once whether MP_FAIL was received, which requests plain TCP."""
        came, self._fail_came = self._fail_came, False
        return came

    @property
    def failing(self) -> bool:
        """Whether MP_FAIL, an infinite mapping or a wrong checksum requires a reaction."""
        return self._fail_came or self.infinite is not None or self.damaged is not None

    def owe_ack(self) -> None:
        """Request a Data ACK for data that could not be acknowledged before.

        That is an early answer to data of our SYN, which the peer sent before it knew our key.
        """
        self._ack_due |= self.heard_dss

    def take_ack_due(self) -> bool:
        """Return once whether the peer waits for a Data ACK that no data or signal causes."""
        due, self._ack_due = self._ack_due, False
        return due

    def arrived(self, readable: int) -> None:
        """Record that octets can be read, which makes an unproven mapping of them valid."""
        if self.unproven is not None:
            start, mapping = self.unproven
            if start < self.position + len(self._held) + readable:
                self.infinite, self.unproven = mapping, None

    def read(self, octets: int, *, dropped: bool = False) -> None:
        """Record that octets of the subflow's stream were read, or dropped."""
        self.position += octets
        if dropped:
            self.skipped = self.position

    def damage(self, mapping: Mapping, data: bytes) -> None:
        """Hold the octets of a mapping with a wrong checksum."""
        self.damaged, self._held = mapping, data

    def release(self, most: int) -> bytes:
        """Return at most this many held octets: after a fallback they are data all the same."""
        data, self._held = self._held[:most], self._held[most:]
        return data

    def ends_at(self, data: int) -> bool:
        """Return whether the DATA_FIN of a peer that still uses mappings ends both streams."""
        return self._end == (data, self.position)

    @property
    def holds(self) -> bool:
        """Whether octets of a damaged mapping are held."""
        return bool(self._held)

    def fall_back(self) -> None:
        """Fall back to plain TCP: ignore options, and use TCP's window."""
        self._window_from = 0
        self.messages.clear()

    @property
    def shift(self) -> int:
        """The position of the next octets in the data stream less that in the subflow's stream.

        Positions in the subflow's stream are as the peer counts them. The path may have changed the
        number of octets.
        """
        mapping = self.damaged or self.mappings.at(self.position) or self.infinite
        if mapping is None:
            return self._incoming.next - self.position
        return mapping.data - mapping.subflow

    def goes_on(self) -> bool:
        """Return whether the next octets of the subflow are the next octets of the data stream.

        This is judged by the received mappings. None follows an infinite one.
        """
        return self.infinite is not None or self.mappings.all_have(self.shift)

    def await_infinite(self) -> None:
        """After a fallback, send Data ACKs until the peer's infinite mapping arrives."""
        self.acks_data = self.infinite is None
        self._shift = self.shift if self.acks_data else None

    # Internal methods.

    def _message(self, option: MptcpOption, *, reset: bool, authentic: bool) -> None:
        """Record an option other than DSS. MP_FASTCLOSE proves itself by the key."""
        match option:
            case MpFastclose():
                self.fastclosed |= option.receiver_key == self._keys.local
            case AddAddr() if option.hmac is not None:
                self._remember(option, reset=reset)
            case _ if not authentic:
                pass
            case MpFail():
                self._fail_came |= not reset and self._was_sent(option.dsn)
            case MpTcprst():
                self.reset = option if reset else None
            case MpJoinAck() if self._initiated:
                pass
            case _:
                self._remember(option, reset=reset)

    def _remember(self, option: MptcpOption, *, reset: bool) -> None:
        known = self._keys.remote is not None
        if known and not reset and len(self.messages) < MOST_MESSAGES:
            self.messages.append(option)

    def _was_sent(self, dsn: int) -> bool:
        """Return whether a 64-bit number belongs to data that was sent."""
        outgoing = self._outgoing
        position = self._keys.outgoing.position(dsn, wide=True, near=outgoing.una)
        return outgoing.una - _RECENT <= position <= outgoing.next + outgoing.fin_sent

    def _dss(self, option: Dss, segment: Segment, start: int, *, authentic: bool) -> bool:
        """Record the Data ACK (section 3.3.2) and the mapping (section 3.3.1) of a DSS.

        A length of 0 means an infinite mapping, which begins with the payload, or with FIN if there
        is no data left. So other segments without payload have no infinite mapping, and a DSS with
        length 0 has no DATA_FIN, which counts in the length.
        """
        news = option.data_ack is not None and self._acknowledged(option, option.data_ack)
        empty = not (segment.payload or segment.flags & FIN)
        if option.dsn is None or (not option.length and (empty or option.data_fin)):
            return news
        if self._checksum_as_agreed(option.checksum, authentic=authentic):
            news |= self._mapping(option, option.dsn, segment, start, authentic=authentic)
        return news

    def _acknowledged(self, option: Dss, number: int) -> bool:
        """Record a Data ACK of sent data; return whether it acknowledges something new."""
        outgoing = self._outgoing
        una = outgoing.una
        position = self._keys.outgoing.position(number, wide=option.wide_ack, near=una)
        self.unheard = False
        if position > outgoing.next + outgoing.fin_sent:
            return False
        known = max(una, self.data_ack)
        self.data_ack = max(self.data_ack, position)
        self._window_from = position
        return position > known and una < outgoing.end

    def _mapping(
        self, option: Dss, dsn: int, segment: Segment, start: int, *, authentic: bool
    ) -> bool:
        """Record a mapping or DATA_FIN; return whether it is DATA_FIN.

        A checksum also covers the DATA_FIN of data. Then it counts only once that is verified.
        """
        incoming = self._incoming
        data = self._keys.incoming.position(dsn, wide=option.wide_dsn, near=incoming.next)
        mapping = dss.received_mapping(option, data, start)
        if mapping is not None and mapping.infinite:
            first = start if segment.payload else start - 1  # FIN comes with the octet before it
            self._infinite_came(mapping, first, authentic=authentic)
            return False
        if mapping is not None:
            self._keys.mapped(wide=option.wide_dsn)
            self.mappings.add(mapping)
            # Octets that came before their mapping become data.
            unread = self.position < mapping.subflow_end
            self._ack_due |= not segment.payload and unread and mapping.subflow < start
        elif not dss.data_fin_is_whole(self._keys, option, data):
            return False
        self.mapped = max(self.mapped, data + option.length - option.data_fin)
        if option.data_fin:
            self.fin_waits |= self._before_fin and mapping is not None
            end = data + option.length - 1
            self._ack_due |= incoming.finished and end == incoming.fin
            if self._data_fin is None and (mapping is None or mapping.checksum is None):
                self._data_fin = end
        return option.data_fin

    def _infinite_came(self, mapping: Mapping, start: int, *, authentic: bool) -> None:
        """Record an infinite mapping at a position that the peer may use.

        As in Linux it becomes valid with the octets of its segment, after all octets before them
        have arrived. It is valid at once if TCP's numbers prove that the peer sent it.
        """
        if not self._incoming.near(mapping.data):
            return
        if authentic:
            self.infinite = mapping
        elif self.unproven is None:
            self.unproven = (start, mapping)

    def _late_mapping(self, option: Dss, dsn: int, start: int) -> None:
        near = self._incoming.next
        data = self._keys.incoming.position(dsn, wide=option.wide_dsn, near=near)
        mapping = dss.received_mapping(option, data, start)
        if not self._incoming.near(data):
            return
        if mapping is not None and mapping.infinite:
            self.acks_data = False
            self._shift = None
            return
        new = mapping if start >= self.position else None
        if new is not None and new.data - new.subflow != self._shift:
            self.violation = "the peer sends data out of order after a fallback"
            return
        if not self.acks_data:
            return
        self.mapped = max(self.mapped, data + option.length - option.data_fin)
        if mapping is None:
            self._end = (data, start)
            self._ack_due = True

    def _capable(self, option: MpCapable, *, authentic: bool) -> None:
        """Record the mapping of the first data, which MP_CAPABLE carries (section 3.1)."""
        length, checksum = option.data_length, option.checksum
        if not length or not self._first or self._initiated:
            return
        if self._checksum_as_agreed(checksum, authentic=authentic):
            self._keys.mapped(wide=True)
            self.mappings.add(Mapping(data=0, subflow=0, length=length, checksum=checksum))

    def _checksum_as_agreed(self, checksum: int | None, *, authentic: bool) -> bool:
        """Request a reset if the peer leaves a checksum out or adds one (section 3.3)."""
        agreed = (checksum is not None) is self._keys.checksum
        if not agreed and authentic:
            self.violation = "a mapping has a checksum against the agreement, or lacks one"
        return agreed and self.violation is None


def _is_of_plain_tcp(option: MptcpOption, segment: Segment) -> bool:
    """Return whether an option is an infinite mapping without octets and without a Data ACK.

    A peer that has fallen back and has no data sends such an option with FIN (section 3.7).
    """
    if not isinstance(option, Dss) or option.dsn is None or option.data_ack is not None:
        return False
    return not option.length and not segment.payload
