"""The reaction to a wrong checksum: MP_FAIL and infinite mappings (RFC 8684, section 3.7).

Something on the path changes what subflows carry.  A subflow among others is reset, and its data
comes on them.  An only one goes on as plain TCP from the data that failed: the receiver of that
data sends MP_FAIL, its sender answers with MP_FAIL and an infinite mapping, and neither says
anything of MPTCP after that.  Where the two streams do not go together any more it is reset, too.

A peer that has no data left to send sends no infinite mapping either, and goes on as before: Linux
does.  Until one comes, or octets without a mapping, it gets its Data ACKs, in its own count of what
it has mapped, and its DATA_FIN counts where it lies at the end of both streams.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from testbed.packet.mptcp import MpFail, ResetReason
from testbed.stack.mptcp.keys import Keys
from testbed.stack.mptcp.streams import ReceiveStream, SendStream
from testbed.stack.mptcp.subflow import Subflow

_RETRY_NS: Final = 200_000_000
_TRIES: Final = 6  # of an MP_FAIL, and answers to those that come again


class Fail:
    """The exchange of MP_FAIL on a connection.

    MP_FAIL rides on ACKs, which are not acknowledged: who has found a wrong checksum sends it until
    the peer has agreed, by its own MP_FAIL or by an infinite mapping, and takes nothing from the
    subflow meanwhile.

    :ivar retry_ns: when MP_FAIL is sent again.
    """

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
        """Whether the peer's consent to a fallback is awaited."""
        return self.retry_ns is not None

    def absorb(self, subflow: Subflow, now: int) -> None:
        """Act on a checksum that was wrong, an MP_FAIL or an infinite mapping that has come."""
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
        """A subflow is gone, and with it what was awaited on it."""
        if subflow.inbound.damaged is not None:
            self.retry_ns = None

    def handle_timer(self, now: int) -> None:
        """Send MP_FAIL again if its time has come."""
        if self.retry_ns is None or self.retry_ns > now:
            return
        self.retry_ns = None
        for subflow in self._subflows:
            if subflow.inbound.damaged is None or subflow.fallback:
                continue
            self._complain(subflow, now)

    def _complain(self, subflow: Subflow, now: int) -> None:
        """The checksum of a mapping is wrong: ask for a fallback, or end the subflow."""
        alone = self._alone(subflow) and self._can_fall_back(subflow)
        if alone and self._tries < _TRIES:
            self._send(subflow, now)
        else:
            self._reset(subflow)

    def _agree(self, subflow: Subflow, *, told: bool) -> None:
        """The peer wants plain TCP: answer its MP_FAIL with one, and fall back as it does.

        It knows of no other subflow, so those there are yet are given up.

        :param told: by MP_FAIL; else by what follows it.
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
        self._outgoing.again.clear()
        if told and not asked:
            self._answer(subflow)

    def _answer(self, subflow: Subflow) -> None:
        """Answer an MP_FAIL, which comes again if the answer was lost.

        Both may have found a wrong checksum and lost the other's MP_FAIL; so both answer, and what
        ends that is a limit.
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
        """End the subflow; all from the data that failed on comes on another (section 3.3.6)."""
        self.retry_ns = None
        subflow.reset(ResetReason.MIDDLEBOX, self._failed(subflow))

    def _failed(self, subflow: Subflow) -> MpFail:
        """Return MP_FAIL with the start of the mapping that failed, or the data expected next."""
        damaged = subflow.inbound.damaged
        return self._mp_fail(self._incoming.next if damaged is None else damaged.data)

    def _mp_fail(self, position: int) -> MpFail:
        self._count("MPFailTx")
        return MpFail(dsn=self._keys.incoming.number(position))

    def _infinite(self, subflow: Subflow) -> bool:
        """Tell whether an infinite mapping has come, and all octets before it were dealt with.

        It may act retroactively.  What comes from where data was damaged belongs to it anyhow:
        there the peer's subflow sequence numbers may not be ours any more.
        """
        inbound = subflow.inbound
        mapping = inbound.infinite
        return mapping is not None and (
            inbound.damaged is not None or mapping.subflow <= inbound.position
        )

    def _ended_plainly(self, subflow: Subflow) -> bool:
        """Tell whether FIN has come where consent is awaited, without a word of MPTCP.

        It has overtaken the peer's MP_FAIL, which TCP takes for old then.
        """
        inbound = subflow.inbound
        return inbound.damaged is not None and self.waiting and subflow.phase.ended and inbound.bare

    def _can_fall_back(self, subflow: Subflow) -> bool:
        """Tell whether both streams go on, octet by octet, with what this subflow carries."""
        if not subflow.carries_all_in_flight() or self._incoming.has_gaps:
            return False
        inbound = subflow.inbound
        here = inbound.shift + inbound.position == self._incoming.next
        return here and inbound.goes_on()

    def _alone(self, subflow: Subflow) -> bool:
        return not any(
            one.confirmed and not one.phase.ended and not one.tcp.closed
            for one in self._subflows
            if one is not subflow
        )
