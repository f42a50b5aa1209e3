"""MP_CAPABLE and MP_JOIN, each side with segments made by hand (RFC 8684, sections 3.1, 3.2)."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from testbed.packet.address import Address
from testbed.packet.mptcp import AddAddr, Dss, MpCapable, MpJoinAck, MpJoinSyn, MpJoinSynAck
from testbed.packet.options import Option, Timestamps
from testbed.packet.segment import ACK, RST, SYN, Segment
from testbed.stack.mptcp import crypto
from testbed.stack.mptcp.capable import CapableInitiator, CapableResponder, usable
from testbed.stack.mptcp.handshake import Outcome
from testbed.stack.mptcp.join import JoinInitiator, JoinOffer, JoinResponder
from testbed.stack.mptcp.keys import Keys
from testbed.stack.mptcp.mapping import Mapping

KEY_A, KEY_B = 0x0102030405060708, 0xF1F2F3F4F5F6F7F8
NONCE_A, NONCE_B = 0x11223344, 0xAABBCCDD


def segment(flags: int, *options: Option, payload: bytes = b"") -> Segment:
    return Segment(
        source=Address("10.0.0.2", 80),
        destination=Address("10.0.0.1", 4000),
        seq=1,
        ack=1,
        flags=flags,
        options=options,
        payload=payload,
    )


def keys_of_a() -> Keys:
    keys = Keys(KEY_A)
    keys.learn(KEY_B)
    return keys


def keys_of_b() -> Keys:
    keys = Keys(KEY_B)
    keys.learn(KEY_A)
    return keys


@pytest.mark.requirement(
    "RFC 8684", "3.1-MUST-12", "3.1-MUST-13", "3.1-MUST-14", "3.1-MUST-15", "3.1-MUST-22"
)
def test_token_is_left_and_idsn_is_right() -> None:
    """RFC 8684, sections 3.1, 3.2: the key goes into the hash in network byte order."""
    digest = hashlib.sha256(bytes(range(1, 9))).hexdigest()
    assert f"{crypto.token(KEY_A):08x}" == digest[:8]
    assert f"{crypto.initial_dsn(KEY_A):016x}" == digest[-16:]


def test_join_hmacs_have_the_senders_key_first() -> None:
    """RFC 8684, section 3.2: the SYN/ACK's is the leftmost 64 bits, the ACK's the leftmost 160."""
    a, b = KEY_A.to_bytes(8, "big"), KEY_B.to_bytes(8, "big")
    nonces = bytes.fromhex("aabbccdd11223344")
    whole = hmac.new(b + a, nonces, hashlib.sha256).digest()
    of_b = crypto.join_hmac(KEY_B, KEY_A, NONCE_B, NONCE_A)
    assert of_b == whole
    assert crypto.syn_ack_hmac(of_b) == whole[:8]
    assert crypto.ack_hmac(of_b) == whole[:20]


def test_add_addr_hmac_is_the_rightmost_64_bits() -> None:
    """RFC 8684, section 3.4.1: address id, address and port; no port counts as 0."""
    key = KEY_A.to_bytes(8, "big") + KEY_B.to_bytes(8, "big")
    message = bytes((5, 10, 0, 2, 1, 0x1F, 0x90))
    expected = hmac.new(key, message, hashlib.sha256).digest()[-8:]
    assert crypto.add_addr_hmac(KEY_A, KEY_B, 5, "10.0.2.1", 8080) == expected
    message = bytes((5,)) + bytes.fromhex("fd000000000000000000000000000001") + b"\0\0"
    expected = hmac.new(key, message, hashlib.sha256).digest()[-8:]
    assert crypto.add_addr_hmac(KEY_A, KEY_B, 5, "fd00::1", None) == expected


@pytest.mark.requirement("RFC 8684", "3.1-MUST-8", "3.1-MUST-11")
@pytest.mark.parametrize(
    ("flags", "expected"),
    [(0x01, True), (0x21, True), (0x1F, True), (0x00, False), (0x41, False), (0x81, True)],
)
def test_flags(flags: int, expected: bool) -> None:
    """RFC 8684, section 3.1: H is needed, B forbids, D to G mean nothing."""
    assert usable(MpCapable(flags=flags)) is expected


@pytest.mark.requirement("RFC 8684", "3.1-SHOULD-1", "3.1-MUST-7", "3.1-MUST-9", "3.1-MUST-10")
def test_initiator_sends_both_keys_until_a_data_ack() -> None:
    """RFC 8684, section 3.1."""
    side = CapableInitiator(Keys(KEY_A), deny_join=False, tries=3)
    assert side.options(SYN, None) == (MpCapable(),)
    assert side.received(segment(SYN | ACK, MpCapable(sender_key=KEY_B))) is Outcome.ACCEPTED
    both = MpCapable(sender_key=KEY_A, receiver_key=KEY_B)
    assert side.options(ACK, None) == (both,)
    first = Mapping(data=0, subflow=0, length=9, in_capable=True)
    with_data = MpCapable(sender_key=KEY_A, receiver_key=KEY_B, data_length=9)
    assert side.options(ACK, first) == (with_data,)
    assert len(with_data.encode()) == 22
    assert side.options(ACK, Mapping(data=9, subflow=9, length=9)) is None
    assert side.received(segment(SYN | ACK, MpCapable(sender_key=KEY_B))) is Outcome.PENDING
    assert side.options(ACK, None) == (both,)
    assert side.received(segment(ACK, Dss(data_ack=1))) is Outcome.CONFIRMED


def test_a_signal_without_dss_is_no_fallback() -> None:
    """An ADD_ADDR of IPv6 leaves no room for DSS beside timestamps."""
    side = CapableInitiator(Keys(KEY_A), deny_join=False, tries=3)
    side.received(segment(SYN | ACK, MpCapable(sender_key=KEY_B)))
    announcement = AddAddr(address_id=2, address="fd00::1", hmac=bytes(8))
    assert side.received(segment(ACK, announcement)) is Outcome.PENDING


def test_initiator_falls_back() -> None:
    """RFC 8684, section 3.7: options vanish in the SYN/ACK, or before the first Data ACK."""
    side = CapableInitiator(Keys(KEY_A), deny_join=False, tries=3)
    assert side.received(segment(SYN | ACK, Timestamps(1, 2))) is Outcome.FALLBACK
    side = CapableInitiator(Keys(KEY_A), deny_join=False, tries=3)
    side.received(segment(SYN | ACK, MpCapable(sender_key=KEY_B)))
    assert side.received(segment(ACK | RST)) is Outcome.PENDING
    assert side.received(segment(ACK, Timestamps(1, 2), payload=b"x")) is Outcome.FALLBACK


@pytest.mark.requirement("RFC 8684", "3.1-MAY-1")
@pytest.mark.parametrize(
    "option",
    [
        MpCapable(),
        MpCapable(sender_key=KEY_B, version=0),
        MpCapable(sender_key=KEY_B, flags=0x41),
        MpCapable(sender_key=KEY_B, flags=0x00),
        MpCapable(sender_key=KEY_B, receiver_key=KEY_A),
    ],
)
def test_initiator_falls_back_from_a_syn_ack_it_cannot_use(option: MpCapable) -> None:
    side = CapableInitiator(Keys(KEY_A), deny_join=False, tries=3)
    assert side.received(segment(SYN | ACK, option)) is Outcome.FALLBACK


def test_syn_goes_without_the_option_at_last() -> None:
    """RFC 8684, section 3.7: a middlebox may drop SYNs with options it does not know."""
    side = CapableInitiator(Keys(KEY_A), deny_join=False, tries=3)
    sent = [side.options(SYN, None) for _ in range(4)]
    assert sent == [(MpCapable(),)] * 3 + [()]


def test_c_flag_both_ways() -> None:
    """RFC 8684, section 3.1."""
    side = CapableInitiator(Keys(KEY_A), deny_join=True, tries=3)
    assert side.options(SYN, None) == (MpCapable(flags=0x21),)
    side.received(segment(SYN | ACK, MpCapable(flags=0x21, sender_key=KEY_B)))
    assert side.join_denied
    assert CapableResponder(Keys(KEY_B), deny_join=False, syn=MpCapable(flags=0x21)).join_denied


@pytest.mark.requirement("RFC 8684", "3.1-MUST-16", "3.1-MUST-17")
@pytest.mark.parametrize(
    ("ours", "theirs", "used"),
    [(False, False, False), (False, True, True), (True, False, True), (True, True, True)],
)
def test_checksums_are_used_if_either_side_requires_them(
    ours: bool, theirs: bool, used: bool
) -> None:
    """RFC 8684, section 3.1: the A flag of SYN and SYN/ACK, confirmed by that of the third ACK."""
    a, b = Keys(KEY_A, checksum=ours), Keys(KEY_B, checksum=theirs)
    initiator = CapableInitiator(a, deny_join=False, tries=3)
    (syn,) = initiator.options(SYN, None) or ()
    assert isinstance(syn, MpCapable)
    assert bool(syn.flags & 0x80) is ours
    responder = CapableResponder(b, deny_join=False, syn=syn)
    (syn_ack,) = responder.options(SYN | ACK, None) or ()
    assert isinstance(syn_ack, MpCapable)
    assert bool(syn_ack.flags & 0x80) is used
    initiator.received(segment(SYN | ACK, syn_ack))
    (third,) = initiator.options(ACK, None) or ()
    assert isinstance(third, MpCapable)
    assert bool(third.flags & 0x80) is used
    assert a.checksum is b.checksum is used


def test_responder_learns_the_key_from_the_third_ack() -> None:
    """RFC 8684, section 3.1: with data or without."""
    for length in (None, 100):
        keys = Keys(KEY_B)
        side = CapableResponder(keys, deny_join=False, syn=MpCapable())
        assert side.options(SYN | ACK, None) == (MpCapable(sender_key=KEY_B),)
        third = MpCapable(sender_key=KEY_A, receiver_key=KEY_B, data_length=length)
        assert side.received(segment(ACK, third)) is Outcome.CONFIRMED
        assert keys.remote_token == crypto.token(KEY_A)


@pytest.mark.requirement("RFC 8684", "3.1-MUST-21")
def test_responder_falls_back_without_the_option() -> None:
    """RFC 8684, section 3.7."""
    side = CapableResponder(Keys(KEY_B), deny_join=False, syn=MpCapable())
    assert side.received(segment(ACK)) is Outcome.FALLBACK
    wrong = MpCapable(sender_key=KEY_A, receiver_key=KEY_A)
    assert side.received(segment(ACK, wrong)) is Outcome.FALLBACK


def test_responder_waits_for_the_keys_when_data_came_first() -> None:
    """DSS shows that the peer believes in MPTCP: its third ACK was lost, and comes again."""
    side = CapableResponder(Keys(KEY_B), deny_join=False, syn=MpCapable())
    overtaking = segment(ACK, Dss(data_ack=1, dsn=5, subflow_seq=101, length=9), payload=b"x" * 9)
    assert side.received(overtaking) is Outcome.IGNORED


@pytest.mark.requirement("RFC 8684", "3.2-SHOULD-1")
def test_join_from_end_to_end() -> None:
    """RFC 8684, section 3.2."""
    a = JoinInitiator(keys_of_a(), JoinOffer(address_id=2, nonce=NONCE_A, backup=True))
    (syn,) = a.options(SYN, None) or ()
    assert syn == MpJoinSyn(backup=True, address_id=2, token=crypto.token(KEY_B), nonce=NONCE_A)
    b = JoinResponder(keys_of_b(), JoinOffer(address_id=7, nonce=NONCE_B), syn)
    assert b.peer_backup
    (syn_ack,) = b.options(SYN | ACK, None) or ()
    whole = crypto.join_hmac(KEY_B, KEY_A, NONCE_B, NONCE_A)
    assert syn_ack == MpJoinSynAck(address_id=7, hmac=whole[:8], nonce=NONCE_B)
    assert a.received(segment(SYN | ACK, syn_ack)) is Outcome.ACCEPTED
    (third,) = a.options(ACK, None) or ()
    assert third == MpJoinAck(hmac=crypto.join_hmac(KEY_A, KEY_B, NONCE_A, NONCE_B)[:20])
    assert b.received(segment(ACK, third)) is Outcome.CONFIRMED
    assert a.options(ACK, None) == (third,)  # again, until the fourth ACK
    assert a.received(segment(ACK, Dss(data_ack=1))) is Outcome.CONFIRMED


def test_join_initiator_refuses() -> None:
    """RFC 8684, section 3.2: a wrong HMAC or none in the SYN/ACK."""
    offer = JoinOffer(address_id=2, nonce=NONCE_A)
    side = JoinInitiator(keys_of_a(), offer)
    assert side.received(segment(SYN | ACK)) is Outcome.REFUSED
    wrong = MpJoinSynAck(address_id=7, hmac=bytes(8), nonce=NONCE_B)
    side = JoinInitiator(keys_of_a(), offer)
    assert side.received(segment(SYN | ACK, wrong)) is Outcome.REFUSED
    assert side.reason == "the SYN/ACK's HMAC is wrong"


@pytest.mark.requirement("RFC 8684", "3.2-MUST-8")
def test_join_responder_refuses() -> None:
    """RFC 8684, section 3.2: a wrong HMAC or none in the third ACK."""
    syn = MpJoinSyn(address_id=2, token=crypto.token(KEY_B), nonce=NONCE_A)
    side = JoinResponder(keys_of_b(), JoinOffer(address_id=7, nonce=NONCE_B), syn)
    assert side.received(segment(ACK, MpJoinAck(hmac=bytes(20)))) is Outcome.REFUSED
    assert side.received(segment(ACK, Dss(data_ack=1))) is Outcome.REFUSED
