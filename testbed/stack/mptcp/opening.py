"""The progress of the MP_CAPABLE or MP_JOIN handshake of a subflow."""

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
    """The handshake of a subflow, until both sides know that it is complete.

    :ivar accepted: whether the peer has answered the handshake.
    :ivar confirmed: whether the peer also has our answer. Only then a join may carry data.
    :ivar refusal: why the subflow must be reset. ``counter`` is the MIB counter of the reason, if
        there is one.
    :ivar join_denied: whether the peer accepts no join to its address of this subflow.
    :ivar swallowed: whether SYNs with the option of the handshake are lost on the path.
    :ivar peer_backup: whether the peer wants the subflow to be a backup.
    :ivar peer_id: the id of the peer's address, if the peer has sent it.
    :ivar retry_ns: when the third ACK of a join is retransmitted.
    :ivar tries: how many times this side has waited for an answer to it.
    """

    __slots__ = ("_fin_first", "_handshake", "_introduced", "accepted", "confirmed",
                 "counter", "join_denied", "peer_backup", "peer_id", "refusal", "retry_ns",
                 "swallowed", "tries")  # fmt: skip

    def __init__(self, handshake: Handshake) -> None:
        self.accepted = False
        self.confirmed = False
        self.refusal: str | None = None
        self.counter = ""
        self.join_denied = False
        self.swallowed = False
        self.peer_backup = False
        self.peer_id: int | None = None
        self.retry_ns: int | None = None
        self.tries = 0
        self._handshake: Handshake | None = handshake
        self._introduced = False  # our first ACK has left with the options of the handshake
        self._fin_first = False  # the next ACK carries DATA_FIN although the subflow is unconfirmed

    @property
    def over(self) -> bool:
        """Whether the handshake is over."""
        return self._handshake is None

    def received(self, segment: Segment, *, authentic: bool) -> tuple[Outcome, Notice | None]:
        """Process a segment; return an answer for TCP if its options must be ignored.

        :param authentic: whether TCP's numbers prove that the peer sent it. Any host can send other
            segments, so these neither confirm the handshake with a peer that has answered it, nor
            end the use of MPTCP.
        """
        handshake = self._handshake
        if handshake is None:
            return Outcome.CONFIRMED, None
        if self.accepted and not authentic:
            return Outcome.PENDING, None
        outcome = handshake.received(segment)
        match outcome:
            case Outcome.ACCEPTED | Outcome.CONFIRMED:
                self.accepted = True
                self.join_denied = handshake.join_denied
                self.peer_backup = handshake.peer_backup
                self.peer_id = handshake.peer_id
                if outcome is Outcome.CONFIRMED:
                    self.confirmed = True
                    self._handshake = None
            case Outcome.FALLBACK:
                self.swallowed = handshake.swallowed
                return outcome, Notice.PLAIN
            case Outcome.REFUSED:
                self.refusal, self.counter = handshake.reason, handshake.counter
                # After a SYN/ACK, TCP needs the peer's numbers for a RST that the peer obeys.
                return outcome, Notice.PLAIN if segment.flags & SYN else Notice.REFUSED
            case Outcome.IGNORED:
                return outcome, Notice.REFUSED
        return outcome, None

    def options(self, flags: int, mapping: Mapping | None) -> Sequence[Option] | None:
        """Return the options of the handshake, or ``None`` if it does not determine them.

        A DATA_FIN does not wait for the first Data ACK: without data none would ever arrive.
        """
        if self._handshake is None:
            return () if flags & SYN else None
        if self._fin_first and self._introduced and mapping is None:
            self._fin_first = False
            return None
        self._introduced |= not flags & SYN
        return self._handshake.options(flags, mapping)

    def confirm(self) -> None:
        """Confirm: the peer has proved that it knows the handshake is complete."""
        if self.accepted:
            self.confirmed = True
            self._handshake = None

    def let_fin_pass(self) -> None:
        """Let the next ACK carry DATA_FIN even before the handshake is confirmed."""
        self._fin_first = not self.confirmed

    def fall_back(self) -> None:
        """End the handshake with a fallback to plain TCP (section 3.7)."""
        self.accepted = self.confirmed = True
        self._handshake = None

    def await_answer(self, now: int, rto_ns: int) -> None:
        """Wait for the answer to the third ACK of a join.

        The time doubles from the third wait on.
        """
        self.retry_ns = now + (max(rto_ns, _LEAST_RETRY_NS) << max(0, self.tries - 1))
        self.tries += 1

    def answered(self) -> None:
        """Stop waiting."""
        self.retry_ns = None
