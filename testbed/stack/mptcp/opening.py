"""How a subflow is opened: the progress of MP_CAPABLE or MP_JOIN on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from testbed.packet.options import Option
from testbed.packet.segment import SYN, Segment
from testbed.stack.mptcp.handshake import Handshake, Outcome
from testbed.stack.mptcp.mapping import Mapping
from testbed.stack.tcp.extension import Notice

_LEAST_RETRY_NS: Final = 200_000_000


class Opening:
    """A subflow's handshake, until both sides know that it is done.

    :ivar accepted: the peer has answered the handshake.
    :ivar confirmed: ... and knows that we have; only now may data be scheduled on a join.
    :ivar refusal: why the subflow must be reset; ``counter`` counts that, if it has a name.
    :ivar join_denied: the peer takes no join to its end's address.
    :ivar swallowed: SYNs with the handshake's option vanish on the way.
    :ivar peer_backup: ... and wants it to be used only while there is no other.
    :ivar retry_ns: when the third ACK of a join is sent again.
    :ivar tries: how often this side has waited for the peer to answer it.
    """

    __slots__ = ("_fin_first", "_handshake", "_introduced", "accepted", "confirmed",
                 "counter", "join_denied", "peer_backup", "refusal", "retry_ns", "swallowed",
                 "tries")  # fmt: skip

    def __init__(self, handshake: Handshake) -> None:
        self.accepted = False
        self.confirmed = False
        self.refusal: str | None = None
        self.counter = ""
        self.join_denied = False
        self.swallowed = False
        self.peer_backup = False
        self.retry_ns: int | None = None
        self.tries = 0
        self._handshake: Handshake | None = handshake
        self._introduced = False  # our first ACK has left, with what the handshake says
        self._fin_first = False  # the next ACK carries DATA_FIN, confirmed or not

    @property
    def over(self) -> bool:
        """Whether the handshake has nothing more to say."""
        return self._handshake is None

    def received(self, segment: Segment) -> tuple[Outcome, Notice | None]:
        """Let the handshake see a segment; return an answer to TCP if its options do not count."""
        handshake = self._handshake
        if handshake is None:
            return Outcome.CONFIRMED, None
        outcome = handshake.received(segment)
        match outcome:
            case Outcome.ACCEPTED | Outcome.CONFIRMED:
                self.accepted = True
                self.join_denied = handshake.join_denied
                self.peer_backup = handshake.peer_backup
                if outcome is Outcome.CONFIRMED:
                    self.confirmed = True
                    self._handshake = None
            case Outcome.FALLBACK:
                self.swallowed = handshake.swallowed
                return outcome, Notice.PLAIN
            case Outcome.REFUSED:
                self.refusal, self.counter = handshake.reason, handshake.counter
                # After a SYN/ACK TCP has to know the peer's numbers for a RST that it will obey.
                return outcome, Notice.PLAIN if segment.flags & SYN else Notice.REFUSED
            case Outcome.IGNORED:
                return outcome, Notice.REFUSED
        return outcome, None

    def options(self, flags: int, mapping: Mapping | None) -> Sequence[Option] | None:
        """Return the handshake's options, ``None`` where it has no say.

        A DATA_FIN does not wait for the first Data ACK: without data none would ever come.
        """
        if self._handshake is None:
            return () if flags & SYN else None
        if self._fin_first and self._introduced and mapping is None:
            self._fin_first = False
            return None
        self._introduced |= not flags & SYN
        return self._handshake.options(flags, mapping)

    def confirm(self) -> None:
        """Be done: the peer has proved that it knows of the handshake's end."""
        if self.accepted:
            self.confirmed = True
            self._handshake = None

    def let_fin_pass(self) -> None:
        """Have the next ACK carry DATA_FIN, also before the handshake is confirmed."""
        self._fin_first = not self.confirmed

    def fall_back(self) -> None:
        """Be done: this is plain TCP (section 3.7)."""
        self.accepted = self.confirmed = True
        self._handshake = None

    def await_answer(self, now: int, rto_ns: int) -> None:
        """Wait for the answer to the third ACK of a join, from the third time on twice as long."""
        self.retry_ns = now + (max(rto_ns, _LEAST_RETRY_NS) << max(0, self.tries - 1))
        self.tries += 1

    def answered(self) -> None:
        """Wait no more."""
        self.retry_ns = None
