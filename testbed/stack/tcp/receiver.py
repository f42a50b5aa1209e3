"""The receiving side: the advertised window, and the times of acknowledgments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from testbed.packet.sequence import BITS_32
from testbed.stack.deadlines import NEVER
from testbed.stack.reassembly import Reassembly
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.right_sizing import ReceiveRtt, RightSizing, WindowMemory, begins
from testbed.stack.tcp.timestamps import Timestamping

# Segments acknowledged at once in the beginning: those of the first two round trips of a sender
# that begins with ten.  The sender learns the rate of the path from the spacing of the ACKs:
# Linux's HyStart uses it from a window of 16 segments on.  Linux itself acknowledges at once for as
# long as its window grows.
_QUICK_ACKS: Final = 10 + 20
# Segments that arrived merged and are acknowledged like single segments.  Larger batches arrive so
# fast that ACKs are no clock for the sender.  As in Linux, they get one ACK.
_SMALL_BATCH: Final = 16
_MOST_AT_ONCE: Final = _SMALL_BATCH // 2  # most ACKs for the segments of one round of the driver
_LEAST_SEGMENT: Final = 536  # initial estimate of the peer's segment size


class Receiver:
    """RCV.NXT, RCV.WND and the variables that depend on them.

    :ivar base: the sequence number of position 0, IRS + 1.
    :ivar edge: the position after the last one that was offered to the peer. It never moves back.
    :ivar acknowledged: RCV.NXT when an ACK was last sent (Last.ACK.sent of RFC 7323).
    :ivar finished: the position of the peer's FIN, after its arrival.
    :ivar ack_now: whether an ACK must be sent now. ``ack_at`` is the deadline of a delayed ACK.
    :ivar duplicate: the octets that the next ACK reports as received twice (RFC 2883).
    :ivar requested: whether a pure ACK was requested, even if another segment acknowledges the
        same. ``requested_last`` is for one that follows the other segments.
    :ivar stretch: positions within batches that need separate ACKs; ``None`` without any.
    :ivar grows: whether the window, its own or a shared one, may grow.
    :ivar rtt: the round-trip time measured by a receiver whose window may grow, after data has
        arrived.
    """

    __slots__ = ("_capacity", "_due", "_quick", "_segment", "_shares", "_sizing", "_urgent",
                 "ack_at", "ack_now", "acknowledged", "base", "buffer", "delay_ns", "duplicate",
                 "edge", "finished", "grows", "requested", "requested_last", "rtt", "shift",
                 "stretch")  # fmt: skip

    def __init__(self, config: TcpConfig) -> None:
        self.buffer = Reassembly()
        self.base = 0
        self.edge = 0
        self.shift = 0
        self.acknowledged = 0
        self.finished: int | None = None
        self.ack_now = False
        self.ack_at = NEVER
        self.delay_ns = config.delayed_ack_ns
        self.duplicate: tuple[int, int] | None = None
        self.requested = self.requested_last = False
        self.stretch: list[int] | None = None
        self._due = 0  # RCV.NXT when a second full-sized segment made an ACK due
        self._urgent = 0  # RCV.UP
        self._capacity = config.first_window
        self.grows = self._capacity < config.receive_buffer
        self._shares = False  # the last advertised window is that of a shared buffer
        # An idle connection, of which there may be many, has neither.
        self._sizing: RightSizing | None = None
        self.rtt: ReceiveRtt | None = None
        self._segment = _LEAST_SEGMENT
        self._quick = _QUICK_ACKS

    def synchronize(self, seq: int, shift: int) -> None:
        """Process the peer's SYN.

        :param shift: Rcv.Wind.Shift; 0 without window scaling.
        """
        self.base = (seq + 1) & BITS_32
        self.shift = shift

    def resize(self, capacity: int) -> None:
        """Set a fixed buffer size. The offered window stays valid."""
        self._capacity = capacity
        self.grows = False
        self.release()
        self._sizing = self.rtt = None

    def release(self) -> None:
        """Release the memory of the window's growth, as no more data arrives."""
        if self._sizing is not None:
            self._sizing.release()

    @property
    def next(self) -> int:
        """RCV.NXT as a position; after the FIN if all data before it has arrived."""
        position = self.buffer.next
        return position + 1 if position == self.finished else position

    @property
    def ack_number(self) -> int:
        """RCV.NXT as a sequence number."""
        return (self.base + self.next) & BITS_32

    def window_to_advertise(self) -> int:
        """Return RCV.WND in octets, by the limit of the buffer."""
        return max(0, self._edge_to_advertise() - self.next)

    def _edge_to_advertise(self) -> int:
        """Return the right edge of the window, by the limit of the buffer.

        It stays until it can advance by a segment or half the buffer (silly window avoidance, RFC
        9293, section 3.8.6.2.2), and never moves back (section 3.8.6.2.1).
        """
        buffer, capacity, edge = self.buffer, self._capacity, self.edge
        free = capacity - buffer.readable
        if free > 0xFFFF << self.shift:  # the window field has 16 bits
            free = 0xFFFF << self.shift
        new = buffer.next + free if free > 0 else buffer.next
        least = self._segment if self._segment * 2 < capacity else capacity // 2
        return edge if new - edge < least else new

    def acknowledge(self, window: int | None, short: int = 0) -> tuple[int, int]:
        """Return ACK number and window field of a segment that is sent now.

        The field is rounded down. It is rounded up if the right edge would move back (RFC 7323,
        2.4) and the buffer has room. If it were always rounded up, the edge would advance beyond
        the buffer.

        :param window: the octets to offer; ``None`` for the room in the buffer.
        :param short: how many octets have arrived after the acknowledged position.
        """
        following, shift = self.next - short, self.shift
        limit = NEVER
        self._shares = window is not None
        if window is None:
            limit = self.buffer.next - self.buffer.readable + self._capacity
            window = self._edge_to_advertise() - following
            if window < 0:
                window = 0
        else:
            window += short
        field = window >> shift
        if (
            field << shift != window
            and following + window == self.edge
            and following + ((field + 1) << shift) <= limit
        ):
            field += 1
        if field > 0xFFFF:
            field = 0xFFFF
        edge = following + (field << shift)
        if edge > self.edge:
            self.edge = edge
        self.acknowledged = following
        if not short:
            self.ack_now = False
            self.ack_at = NEVER
        return (self.base + following) & BITS_32, field

    def offer_unscaled(self, window: int) -> int:
        """Return the window field of a SYN that is sent now.

        It is never scaled (RFC 7323, section 2.2).
        """
        window = min(0xFFFF, window)
        self.edge = max(self.edge, self.next + window)
        return window

    def size_window(self, stamps: Timestamping, limit: int, memory: WindowMemory, now: int) -> None:
        """Let the window grow with the data that is read, when data arrives.

        :param stamps: the timestamps of the received segment, which measure the round-trip time.
        :param limit: the greatest size in octets. ``memory`` is that of the endpoint.
        """
        if self.rtt is None:
            if not begins(self.buffer.next, self._capacity):
                return
            self.rtt = ReceiveRtt()
        if stamps.used:
            self.rtt.echoed(stamps, now)
        else:
            self.rtt.arrived(self.buffer.next, self.edge, now)
        if not self._shares:
            self._size_own(self.rtt.value, limit, memory, now)

    def _size_own(self, rtt: int | None, limit: int, memory: WindowMemory, now: int) -> None:
        sizing, buffer = self._sizing, self.buffer
        read = buffer.next - buffer.readable
        if sizing is None:
            sizing = self._sizing = RightSizing(self._capacity, limit, memory, read)
        if now >= sizing.due_ns:
            sizing.adjust(read, rtt, self._segment, now)
            self._capacity = sizing.capacity
            self.grows = self._capacity < limit

    def window_update_due(self) -> bool:
        """Return whether reading has opened a window for which the peer may wait.

        As in Linux, this is so when the window is twice the one that the peer knows.
        """
        offered = self.edge - self.next
        window = self.window_to_advertise()
        return window >= 2 * offered and window - offered >= min(self._segment, self._capacity // 2)

    def _acknowledge_batch(self, size: int, octets: int) -> None:
        """Schedule ACKs for a batch as for its single segments."""
        end = self.buffer.next
        for position in range(end - octets + size, end, size):
            if position - self.acknowledged > self._segment:
                self._stretch_to(position)
                self.acknowledged = position

    def _acknowledge_queued(self, segments: int) -> None:
        """Schedule one more ACK if a driver passes many segments in one round."""
        due, end = self._due, self.buffer.next
        if segments > _SMALL_BATCH:
            self._due = 0  # one ACK is enough for all of them
        elif due > self.acknowledged and end - due > self._segment:
            if len(self.stretch or ()) < _MOST_AT_ONCE:
                self._stretch_to(due)
            self._due = end

    def acknowledge_before(self) -> None:
        """Schedule a separate ACK for the data that has arrived so far."""
        if self.next > self.acknowledged:
            self._stretch_to(self.next)
            self.acknowledged = self.next

    def _stretch_to(self, position: int) -> None:
        if self.stretch is None:
            self.stretch = []
        self.stretch.append(position)

    def take_stretch(self) -> Sequence[int]:
        """Return the positions in ``stretch`` once."""
        stretch, self.stretch = self.stretch, None
        return stretch or ()

    def urgent_arrived(self, position: int) -> bool:
        """Process the urgent pointer; return whether it has advanced over unread octets."""
        if position <= max(self._urgent, self.buffer.next - self.buffer.readable):
            return False
        self._urgent = position
        return True

    @property
    def urgent_left(self) -> int:
        """The octets from the read position to the end of urgent data."""
        return max(0, self._urgent - (self.buffer.next - self.buffer.readable))

    def must_ack(self) -> None:
        """Schedule an ACK, with data or alone."""
        self.ack_now = True

    def request_ack(self, *, last: bool = False) -> None:
        """Schedule a pure ACK, even if another segment acknowledges the same.

        :param last: whether it follows the other segments.
        """
        if last:
            self.requested_last = True
        else:
            self.requested = True

    def request_met(self) -> None:
        """Record that a requested ACK is sent."""
        self.requested = False

    def last_request_met(self) -> None:
        """Record that an ACK is sent after the other segments."""
        self.requested_last = False

    def ack_timer_expired(self) -> None:
        """Send the delayed ACK."""
        self.ack_now = True
        self.ack_at = NEVER

    def stop(self) -> None:
        """Stop acknowledging."""
        self.release()
        self.ack_now = self.requested = self.requested_last = False
        self.stretch = None
        self.ack_at = NEVER

    def fail(self) -> None:
        """Deliver nothing more, not even the end of the stream, as it may be wrong."""
        self.stop()
        self.buffer.clear()
        self.finished = None

    def note_duplicate(self, start: int, end: int) -> None:
        """Record octets that arrived twice, for the next ACK (RFC 2883)."""
        if start < end:
            self.duplicate = (start, end)

    def take_duplicate(self) -> tuple[int, int] | None:
        """Return once the octets that an ACK reports as received twice."""
        duplicate, self.duplicate = self.duplicate, None
        return duplicate

    def fin_arrived(self, position: int) -> None:
        """Record the end of the peer's stream. The first FIN in the window counts."""
        self.ack_now = True
        if self.finished is None and self.buffer.next <= position <= self.edge:
            self.finished = position
            self.buffer.truncate(position)

    def ack_sent(self) -> None:
        """Record that a segment with ACK was sent."""
        self.acknowledged = self.next
        self.ack_now = False
        self.ack_at = NEVER

    def data_arrived(self, size: int, octets: int, *, in_order: bool, now: int) -> None:
        """Schedule the ACK of data (RFC 9293, section 3.8.6.3; RFC 5681, section 4.2).

        It is immediate for out-of-order data, for data that fills a gap, for every second
        full-sized segment, and at the start of a connection. Otherwise it is delayed by at most
        ``delayed_ack_ns``.

        :param size: the size of the largest segment in a batch of ``octets``.
        """
        if size > self._segment:
            self._segment = size
        segments = -(-octets // size)
        if in_order and 2 < segments <= _SMALL_BATCH and not self.ack_now:
            self._acknowledge_batch(size, octets)
        if self._quick > 0:
            self._quick -= segments
            self.ack_now = True
        elif not in_order:
            self.ack_now = True
        elif self.ack_now:
            self._acknowledge_queued(segments)
        elif self.buffer.next - self.acknowledged > self._segment:
            self.ack_now = True
            self._due = self.buffer.next if segments <= _SMALL_BATCH else 0
        elif self.ack_at == NEVER:
            self.ack_at = now + self.delay_ns

    @property
    def segment(self) -> int:
        """The largest payload of a received segment in octets."""
        return self._segment
