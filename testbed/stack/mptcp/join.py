"""The MP_JOIN handshake, which adds a subflow to a connection (RFC 8684, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from testbed.packet.mptcp import MpJoinAck, MpJoinSyn, MpJoinSynAck
from testbed.packet.options import Option, find
from testbed.packet.segment import ACK, RST, SYN, Segment
from testbed.stack.mptcp import crypto
from testbed.stack.mptcp.handshake import Outcome
from testbed.stack.mptcp.keys import Keys
from testbed.stack.mptcp.mapping import Mapping


class JoinOffer(msgspec.Struct, frozen=True, kw_only=True):
    """The fields that this side sends in a join."""

    address_id: int
    nonce: int
    backup: bool = False


class JoinInitiator:
    """The side that sends the SYN. It retransmits the third ACK until the fourth ACK arrives."""

    def __init__(self, keys: Keys, offer: JoinOffer) -> None:
        self._keys = keys
        self._offer = offer
        self._proof: bytes | None = None  # the HMAC of the third ACK
        self.peer_backup = self.join_denied = self.swallowed = False
        self.peer_id: int | None = None
        self.reason = self.counter = ""

    def options(self, flags: int, mapping: Mapping | None) -> Sequence[Option] | None:  # noqa: ARG002
        """Return the MP_JOIN of the SYN or of the third ACK."""
        if flags & SYN:
            syn = MpJoinSyn(
                backup=self._offer.backup,
                address_id=self._offer.address_id,
                token=self._keys.remote_token,
                nonce=self._offer.nonce,
            )
            return (syn,)
        return () if self._proof is None or flags & RST else (MpJoinAck(hmac=self._proof),)

    def received(self, segment: Segment) -> Outcome:
        """Check the HMAC of the SYN/ACK. Any later segment counts as the fourth ACK."""
        if segment.flags & RST:
            return Outcome.PENDING
        if not segment.flags & SYN:
            return Outcome.PENDING if self._proof is None else Outcome.CONFIRMED
        if self._proof is not None:
            return Outcome.PENDING
        option: MpJoinSynAck | None = find(segment.options, MpJoinSynAck)
        if option is None:
            self.reason = "the SYN/ACK has no MP_JOIN"
            return Outcome.REFUSED
        local, remote = self._keys.pair()
        theirs = crypto.join_hmac(remote, local, option.nonce, self._offer.nonce)
        if not crypto.same(crypto.syn_ack_hmac(theirs), option.hmac):
            self.reason = "the SYN/ACK's HMAC is wrong"
            self.counter = "MPJoinSynAckHMacFailure"
            return Outcome.REFUSED
        ours = crypto.join_hmac(local, remote, self._offer.nonce, option.nonce)
        self._proof = crypto.ack_hmac(ours)
        self.peer_backup = option.backup
        self.peer_id = option.address_id
        return Outcome.ACCEPTED


class JoinResponder:
    """The side that receives the SYN, whose token belongs to one of its connections.

    :param syn: the MP_JOIN of the SYN.
    """

    def __init__(self, keys: Keys, offer: JoinOffer, syn: MpJoinSyn) -> None:
        local, remote = keys.pair()
        ours = crypto.join_hmac(local, remote, offer.nonce, syn.nonce)
        theirs = crypto.join_hmac(remote, local, syn.nonce, offer.nonce)
        self._syn_ack = MpJoinSynAck(
            backup=offer.backup,
            address_id=offer.address_id,
            hmac=crypto.syn_ack_hmac(ours),
            nonce=offer.nonce,
        )
        self._expected = crypto.ack_hmac(theirs)
        self.peer_backup = syn.backup
        self.peer_id: int | None = syn.address_id
        self.join_denied = self.swallowed = False
        self.reason = self.counter = ""

    def options(self, flags: int, mapping: Mapping | None) -> Sequence[Option] | None:  # noqa: ARG002
        """Return the MP_JOIN of the SYN/ACK."""
        return (self._syn_ack,) if flags & SYN else ()

    def received(self, segment: Segment) -> Outcome:
        """Check the HMAC of the third ACK."""
        if segment.flags & (SYN | RST) or not segment.flags & ACK:
            return Outcome.PENDING
        option: MpJoinAck | None = find(segment.options, MpJoinAck)
        if option is None:
            self.reason = "the third ACK has no MP_JOIN"
            return Outcome.REFUSED
        if not crypto.same(option.hmac, self._expected):
            self.reason = "the third ACK's HMAC is wrong"
            self.counter = "MPJoinAckHMacFailure"
            return Outcome.REFUSED
        return Outcome.CONFIRMED
