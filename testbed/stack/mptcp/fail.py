"""The reaction to a wrong checksum: MP_FAIL and infinite mappings (RFC 8684, section 3.7).

A wrong checksum means that a middlebox changes the payload. If there are other subflows, the
damaged one is reset, and its data is sent again on the others. An only subflow continues as plain
TCP from the damaged data on: the receiver of that data sends MP_FAIL, the sender answers with
MP_FAIL and an infinite mapping, and no MPTCP option follows. The subflow is also reset if the data
stream and the subflow's stream no longer run in parallel.

A peer without data to send, such as Linux, sends no infinite mapping and continues to use mappings.
Until an infinite mapping or unmapped octets arrive, this side sends it Data ACKs, which count the
octets of its mappings. Its DATA_FIN is accepted at the end of both streams.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from testbed.packet.mptcp import MpFail, ResetReason
from testbed.stack.mptcp.keys import Keys
from testbed.stack.mptcp.streams import ReceiveStream, SendStream
from testbed.stack.mptcp.subflow import Subflow

_RETRY_NS: Final = 200_000_000
_TRIES: Final = 6  # limit of sendings of an MP_FAIL, and of answers to repeated ones


class Fail:
    """The exchange of MP_FAIL on a connection.

    MP_FAIL travels on ACKs, which TCP does not retransmit. The side that found a wrong checksum
    repeats it until the peer agrees by its own MP_FAIL or by an infinite mapping. Meanwhile that
    side reads nothing from the subflow.

    :ivar retry_ns: when MP_FAIL is retransmitted.
    """

    __slots__ = ("_answers", "_count", "_incoming", "_keys", "_outgoing", "_subflows", "_tries",
                 "retry_ns")  # fmt: skip

    def __init__(
        self,
        keys: Keys,
        outgoing: SendStream,
        incoming: ReceiveStream,
        subflows: Sequence[Subflow],
        count: Callable[[str], None],
    ) -> None:
        self.retry_ns: int | None = None
        self._count = count
        self._keys = keys
        self._outgoing = outgoing
        self._incoming = incoming
        self._subflows = subflows
        self._tries = 0
        self._answers = 0

    @property
    def waiting(self) -> bool:
        """Whether this side waits for the peer to agree to a fallback."""
        return self.retry_ns is not None

    def absorb(self, subflow: Subflow, now: int) -> None:
        """Process a wrong checksum, a received MP_FAIL or a received infinite mapping."""
        told = subflow.inbound.take_fail()
        if told:
            self._count("MPFailRx")
        if subflow.fallback:
            if told:
                self._answer(subflow)
        elif told or self._infinite(subflow) or self._ended_plainly(subflow):
            self._agree(subflow, told=told)
        elif subflow.inbound.damaged is not None and not (self.waiting or subflow.tcp.closed):
            self._count("DataCsumErr")
            self._complain(subflow, now)

    def lost(self, subflow: Subflow) -> None:
        """Stop waiting for an answer on a subflow that has ended."""
        if subflow.inbound.damaged is not None:
            self.retry_ns = None

    def handle_timer(self, now: int) -> None:
        """Retransmit MP_FAIL if its timer has expired."""
        if self.retry_ns is None or self.retry_ns > now:
            return
        self.retry_ns = None
        for subflow in self._subflows:
            if subflow.inbound.damaged is None or subflow.fallback:
                continue
            self._complain(subflow, now)

    def _complain(self, subflow: Subflow, now: int) -> None:
        """After a wrong checksum, request a fallback or reset the subflow."""
        alone = self._alone(subflow) and self._can_fall_back(subflow)
        if alone and self._tries < _TRIES:
            self._send(subflow, now)
        else:
            self._reset(subflow)

    def _agree(self, subflow: Subflow, *, told: bool) -> None:
        """Agree to the peer's fallback: answer its MP_FAIL, and fall back.

        The peer has no other subflow, so this side resets the others that it has.

        :param told: whether the peer sent MP_FAIL, or only an infinite mapping.
        """
        if not self._can_fall_back(subflow):
            self._reset(subflow)
            return
        if self._infinite(subflow):
            self._count("InfiniteMapRx")
        asked = self.waiting
        self.retry_ns = None
        self._incoming.forget_end()
        subflow.fall_back_after_change()
        self._outgoing.unmark_all()
        if told and not asked:
            self._answer(subflow)

    def _answer(self, subflow: Subflow) -> None:
        """Answer an MP_FAIL. The peer repeats it if the answer was lost.

        Both sides may have found a wrong checksum and lost the other's MP_FAIL. Then each answers
        the other, so the number of answers is limited.
        """
        if self._answers < _TRIES:
            self._answers += 1
            subflow.outbox.add(self._mp_fail(self._incoming.next))
            subflow.tcp.request_ack()

    def _send(self, subflow: Subflow, now: int) -> None:
        interval = max(_RETRY_NS, subflow.tcp.rto_ns) << self._tries
        self.retry_ns = now + interval
        self._tries += 1
        subflow.outbox.add_first(self._failed(subflow))
        subflow.tcp.request_ack()

    def _reset(self, subflow: Subflow) -> None:
        """Reset the subflow.

        Other subflows carry the data from the damaged mapping on (section 3.3.6).
        """
        self.retry_ns = None
        subflow.reset(ResetReason.MIDDLEBOX, self._failed(subflow))

    def _failed(self, subflow: Subflow) -> MpFail:
        """Return MP_FAIL for the start of the damaged mapping, or the next expected position."""
        damaged = subflow.inbound.damaged
        return self._mp_fail(self._incoming.next if damaged is None else damaged.data)

    def _mp_fail(self, position: int) -> MpFail:
        self._count("MPFailTx")
        return MpFail(dsn=self._keys.incoming.number(position))

    def _infinite(self, subflow: Subflow) -> bool:
        """Return whether an infinite mapping has arrived and all octets before it were read.

        An infinite mapping may start in the past. All octets after the damaged data belong to it,
        because the peer's subflow sequence numbers may differ from ours from there on.
        """
        inbound = subflow.inbound
        mapping = inbound.infinite
        return mapping is not None and (
            inbound.damaged is not None or mapping.subflow <= inbound.position
        )

    def _ended_plainly(self, subflow: Subflow) -> bool:
        """Return whether FIN without MPTCP options arrived instead of the awaited answer.

        Then FIN has overtaken the peer's MP_FAIL, and TCP will discard that as old.
        """
        inbound = subflow.inbound
        return inbound.damaged is not None and self.waiting and subflow.phase.ended and inbound.bare

    def _can_fall_back(self, subflow: Subflow) -> bool:
        """Return whether this subflow carries the rest of both data streams without a gap."""
        if not subflow.carries_all_in_flight() or self._incoming.has_gaps:
            return False
        inbound = subflow.inbound
        if inbound.skipped == inbound.position:  # the octets just before were dropped
            return False
        here = inbound.shift + inbound.position == self._incoming.next
        return here and inbound.goes_on()

    def _alone(self, subflow: Subflow) -> bool:
        return not any(
            one.confirmed and not one.phase.ended and not one.tcp.closed
            for one in self._subflows
            if one is not subflow
        )
