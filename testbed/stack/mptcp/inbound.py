"""The signals and data of one subflow's segments, until its connection acts on them."""

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
from testbed.packet.segment import RST, Segment
from testbed.stack.mptcp import dss
from testbed.stack.mptcp.keys import Keys
from testbed.stack.mptcp.mapping import Mapping
from testbed.stack.mptcp.received_mappings import ReceivedMappings
from testbed.stack.mptcp.streams import ReceiveStream, SendStream

NOTHING: Final = -1  # before the first position
# Signals that wait for the connection's step, which takes them all unless it has closed.
MOST_MESSAGES: Final = 64
_RECENT: Final = 1 << 30  # octets back that an MP_FAIL may name


class Inbound:
    """The receiving side of a subflow.  Hooks record here; the connection takes it in its step.

    It reads where the connection's streams are, and changes nothing there.

    :param initiated: this side opened the subflow; ``first`` if it is the connection's first one.
    :ivar data_ack: the highest Data ACK, a position in our stream (section 3.3.2).
    :ivar edge: the right edge of the peer's shared window, likewise (section 3.3.4).
    :ivar position: octets of the subflow's stream that were read.
    :ivar mapped: position in the data stream before which all was mapped here.
    :ivar infinite: the infinite mapping that has come (section 3.7).
    :ivar damaged: a mapping whose checksum was wrong: nothing is read any more, and its octets
        were not passed on.
    :ivar violation: why the subflow must be reset.
    :ivar fastclosed: MP_FASTCLOSE has come (section 3.5).
    :ivar reset: what the peer's RST said.
    :ivar bare: the last segment had no option of MPTCP at all, or one that says as much.
    :ivar unheard: no Data ACK has come on it.
    :ivar heard_dss: a DSS has come on it.
    :ivar acks_data: after a fallback, the peer may still wait for Data ACKs.
    """

    def __init__(
        self,
        keys: Keys,
        outgoing: SendStream,
        incoming: ReceiveStream,
        *,
        first: bool,
        initiated: bool,
    ) -> None:
        self.data_ack = NOTHING
        self.edge = NOTHING
        self.position = 0
        self.mapped = 0
        self.mappings = ReceivedMappings()
        self.infinite: Mapping | None = None
        self.damaged: Mapping | None = None
        self.violation: str | None = None
        self.fastclosed = False
        self.reset: MpTcprst | None = None
        self.bare = False
        self.unheard = True
        self.heard_dss = False
        self.acks_data = False
        self._keys = keys
        self._outgoing = outgoing
        self._incoming = incoming
        self._first = first
        self._initiated = initiated
        self._window_from: int | None = 0  # the Data ACK that came with the last window
        self._data_fin: int | None = None  # position of the peer's DATA_FIN (section 3.3.3)
        self._messages: list[MptcpOption] = []  # few: a list takes less than a deque
        self._fail_came = False
        self._ack_due = False  # the peer's DATA_FIN has come again: its Data ACK was lost
        self._held = b""  # octets of a damaged mapping, taken from TCP
        # After a fallback, until the peer has begun with plain TCP: what its mappings must have.
        self._shift: int | None = None
        self._end: tuple[int, int] | None = None  # after a fallback: its DATA_FIN in both streams
        # An infinite mapping that a stranger may have sent, and where its segment starts.
        self._unproven: tuple[int, Mapping] | None = None

    # What hooks record.

    def take(self, segment: Segment, start: int, *, confirmed: bool, authentic: bool) -> bool:
        """Take in the options; tell whether they are a message, so that it is no duplicate ACK.

        :param start: of the payload, in the subflow's stream.
        :param confirmed: the handshake is done: windows count with a Data ACK only.
        :param authentic: no stranger can have sent it, as far as TCP's numbers tell; signals of
            others that prove nothing themselves do not count (section 3.4.2).
        """
        signal = False
        self.bare = True
        self._window_from = None if confirmed else 0
        for option in segment.options:
            if not isinstance(option, MptcpOption):
                continue
            self.bare &= _is_of_plain_tcp(option, segment)
            if isinstance(option, Dss):
                self.heard_dss = True
                empty = not segment.payload
                signal |= self._dss(option, start, empty=empty, authentic=authentic)
            elif isinstance(option, MpCapable):
                self._capable(option)
            else:
                signal = True
                self._message(option, reset=bool(segment.flags & RST), authentic=authentic)
        return signal

    def take_plain(self, segment: Segment, start: int, *, authentic: bool) -> bool:
        """Take what a peer says that has agreed to plain TCP, but may not have begun with it.

        As long as it sends no infinite mapping it may wait for Data ACKs, and end by DATA_FIN
        alone.  It may also have sent other data elsewhere, before it knew of the fallback: then its
        mappings are not in one piece, and there is no stream to go on with.  Tell whether there is
        something to act on.
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
        """Use a window only together with a Data ACK, and relative to it (section 3.3.4)."""
        if self._window_from is None:
            return False
        self.edge = max(self.edge, self._window_from + window)
        return True

    # What the connection does with it.

    def next_message(self) -> MptcpOption | None:
        """Return an option that has come and is to be dealt with."""
        return self._messages.pop(0) if self._messages else None

    def take_data_fin(self) -> int | None:
        """Return, once, the position of a DATA_FIN that has come."""
        position, self._data_fin = self._data_fin, None
        return position

    def take_fail(self) -> bool:
        """Tell, once, whether MP_FAIL has come: the peer wants plain TCP."""
        came, self._fail_came = self._fail_came, False
        return came

    def owe_ack(self) -> None:
        """Have a Data ACK leave if data has come that could not be acknowledged yet.

        It is what the peer has answered to the data of our SYN, before it had our key.
        """
        self._ack_due |= self.heard_dss

    def take_ack_due(self) -> bool:
        """Tell, once, whether the peer's DATA_FIN has come again."""
        due, self._ack_due = self._ack_due, False
        return due

    def arrived(self, readable: int) -> None:
        """Take that so many octets can be read: with them, what came with them counts."""
        if self._unproven is not None:
            start, mapping = self._unproven
            if start < self.position + len(self._held) + readable:
                self.infinite, self._unproven = mapping, None

    def read(self, octets: int) -> None:
        """Note that so many octets of the subflow's stream were read, or skipped."""
        self.position += octets

    def damage(self, mapping: Mapping, data: bytes) -> None:
        """Hold the octets of a mapping whose checksum is wrong."""
        self.damaged, self._held = mapping, data

    def release(self, most: int) -> bytes:
        """Return what is held, so many octets at most: after a fallback it counts all the same."""
        data, self._held = self._held[:most], self._held[most:]
        return data

    def ends_at(self, data: int) -> bool:
        """Tell whether DATA_FIN of a late peer is here in both streams: nothing was left out."""
        return self._end == (data, self.position)

    @property
    def holds(self) -> bool:
        """Whether octets of a damaged mapping are still held."""
        return bool(self._held)

    def fall_back(self) -> None:
        """Go on as plain TCP: TCP's window is the only one, and options mean nothing."""
        self._window_from = 0
        self._messages.clear()

    @property
    def shift(self) -> int:
        """The difference of a position of data to that in the subflow, where the next octets are.

        Positions in the subflow are the peer's, whose path may have changed how many octets come.
        """
        mapping = self.damaged or self.mappings.at(self.position) or self.infinite
        if mapping is None:
            return self._incoming.next - self.position
        return mapping.data - mapping.subflow

    def goes_on(self) -> bool:
        """Tell whether all that comes next on the subflow comes next in the data stream.

        As far as its mappings have come; after an infinite one there are no others.
        """
        return self.infinite is not None or self.mappings.all_have(self.shift)

    def await_infinite(self) -> None:
        """After a fallback, give Data ACKs until the peer's infinite mapping has come."""
        self.acks_data = self.infinite is None
        self._shift = self.shift if self.acks_data else None

    # How it works.

    def _message(self, option: MptcpOption, *, reset: bool, authentic: bool) -> None:
        """Take an option that is no DSS; the first one proves itself by a key."""
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
        if known and not reset and len(self._messages) < MOST_MESSAGES:
            self._messages.append(option)

    def _was_sent(self, dsn: int) -> bool:
        """Tell whether a 64-bit number is one of data that was sent, and maybe acknowledged."""
        outgoing = self._outgoing
        position = self._keys.outgoing.position(dsn, wide=True, near=outgoing.una)
        return outgoing.una - _RECENT <= position <= outgoing.next + outgoing.fin_sent

    def _dss(self, option: Dss, start: int, *, empty: bool, authentic: bool) -> bool:
        """Take a Data ACK (section 3.3.2) and a mapping (section 3.3.1).

        A length of 0 is that of an infinite mapping, which begins with the payload; there is
        neither one in an ACK, nor DATA_FIN, which counts in the length.

        :param empty: the segment has no payload.
        """
        news = option.data_ack is not None and self._acknowledged(option, option.data_ack)
        if option.dsn is None or (not option.length and (empty or option.data_fin)):
            return news
        if self._checksum_as_agreed(option.checksum):
            news |= self._mapping(option, option.dsn, start, authentic=authentic)
        return news

    def _acknowledged(self, option: Dss, number: int) -> bool:
        """Take a Data ACK of what was sent; tell whether it is news."""
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

    def _mapping(self, option: Dss, dsn: int, start: int, *, authentic: bool) -> bool:
        """Note a mapping or DATA_FIN; tell whether it is DATA_FIN."""
        incoming = self._incoming
        data = self._keys.incoming.position(dsn, wide=option.wide_dsn, near=incoming.next)
        mapping = dss.received_mapping(option, data, start)
        if mapping is not None and mapping.infinite:
            self._infinite_came(mapping, start, authentic=authentic)
            return False
        if mapping is not None:
            self._keys.mapped(wide=option.wide_dsn)
            self.mappings.add(mapping)
        elif not dss.data_fin_is_whole(self._keys, option, data):
            return False
        self.mapped = max(self.mapped, data + option.length - option.data_fin)
        if option.data_fin:
            end = data + option.length - 1
            self._ack_due |= incoming.finished and end == incoming.fin
            if self._data_fin is None:
                self._data_fin = end
        return option.data_fin

    def _infinite_came(self, mapping: Mapping, start: int, *, authentic: bool) -> None:
        """Note an infinite mapping of a place in the data stream that the peer may name.

        As in Linux it counts with the octets it came with, once all before them are there; sooner
        where no stranger can have sent it.
        """
        if not self._incoming.near(mapping.data):
            return
        if authentic:
            self.infinite = mapping
        elif self._unproven is None:
            self._unproven = (start, mapping)

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
            self.violation = "data that is not the subflow's next comes after a fallback"
            return
        if not self.acks_data:
            return
        self.mapped = max(self.mapped, data + option.length - option.data_fin)
        if mapping is None:
            self._end = (data, start)
            self._ack_due = True

    def _capable(self, option: MpCapable) -> None:
        """Take the mapping of the first data, which is in MP_CAPABLE (section 3.1)."""
        length, checksum = option.data_length, option.checksum
        if not length or not self._first or self._initiated:
            return
        if self._checksum_as_agreed(checksum):
            self._keys.mapped(wide=True)
            self.mappings.add(Mapping(data=0, subflow=0, length=length, checksum=checksum))

    def _checksum_as_agreed(self, checksum: int | None) -> bool:
        """Have the subflow reset if its peer leaves a checksum out, or adds one (section 3.3)."""
        if (checksum is not None) is not self._keys.checksum:
            self.violation = "a mapping's checksum is not as agreed on"
        return self.violation is None


def _is_of_plain_tcp(option: MptcpOption, segment: Segment) -> bool:
    """Tell whether an option is an infinite mapping of no octets, without a Data ACK.

    An end that has fallen back and has nothing to send says so with FIN (section 3.7).
    """
    if not isinstance(option, Dss) or option.dsn is None or option.data_ack is not None:
        return False
    return not option.length and not segment.payload
