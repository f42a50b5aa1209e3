"""Every MPTCP option octet by octet, as the figures of RFC 8684, section 3, draw it."""

from __future__ import annotations

import pytest

from testbed.packet import mptcp
from testbed.packet.option_list import parse_options
from testbed.packet.options import Option, UnknownOption

KEY_A, KEY_B = 0x0102030405060708, 0x1112131415161718
A, B = "0102030405060708", "1112131415161718"
HMAC_64, HMAC_160 = bytes(range(0xA0, 0xA8)), bytes(range(0xC0, 0xD4))

LAYOUT: list[tuple[str, Option]] = [
    # MP_CAPABLE, figure 4: subtype and version, flags A to H, then what the packet calls for.
    ("1e04 01 01", mptcp.MpCapable()),
    ("1e04 01 81", mptcp.MpCapable(flags=mptcp.CHECKSUM_REQUIRED | mptcp.HMAC_SHA256)),
    ("1e04 0f ff", mptcp.MpCapable(version=15, flags=0xFF)),
    (f"1e0c 01 21 {A}", mptcp.MpCapable(flags=0x21, sender_key=KEY_A)),
    (f"1e14 01 01 {A}{B}", mptcp.MpCapable(sender_key=KEY_A, receiver_key=KEY_B)),
    (
        f"1e16 01 01 {A}{B} 0579",
        mptcp.MpCapable(sender_key=KEY_A, receiver_key=KEY_B, data_length=1401),
    ),
    (
        f"1e18 01 81 {A}{B} 0579 beef",
        mptcp.MpCapable(
            flags=0x81, sender_key=KEY_A, receiver_key=KEY_B, data_length=1401, checksum=0xBEEF
        ),
    ),
    # MP_JOIN, figures 5 to 7: B is the last bit before the address id; the ACK has neither.
    (
        "1e0c 10 02 12345678 9abcdef0",
        mptcp.MpJoinSyn(address_id=2, token=0x12345678, nonce=0x9ABCDEF0),
    ),
    (
        "1e0c 11 ff 12345678 9abcdef0",
        mptcp.MpJoinSyn(backup=True, address_id=255, token=0x12345678, nonce=0x9ABCDEF0),
    ),
    (
        "1e10 10 03 a0a1a2a3a4a5a6a7 9abcdef0",
        mptcp.MpJoinSynAck(address_id=3, hmac=HMAC_64, nonce=0x9ABCDEF0),
    ),
    (
        "1e10 11 03 a0a1a2a3a4a5a6a7 9abcdef0",
        mptcp.MpJoinSynAck(backup=True, address_id=3, hmac=HMAC_64, nonce=0x9ABCDEF0),
    ),
    ("1e18 10 00" + HMAC_160.hex(), mptcp.MpJoinAck(hmac=HMAC_160)),
    # DSS, figure 9: the flags are F m M a A, from 0x10 to 0x01.
    ("1e04 20 00", mptcp.Dss()),
    ("1e08 20 01 00000001", mptcp.Dss(data_ack=1, wide_ack=False)),
    (f"1e0c 20 03 {A}", mptcp.Dss(data_ack=KEY_A)),
    (
        "1e0e 20 04 00000001 00000002 0003",
        mptcp.Dss(dsn=1, wide_dsn=False, subflow_seq=2, length=3),
    ),
    (
        f"1e14 20 0c {B} 00000002 0003 beef",
        mptcp.Dss(dsn=KEY_B, subflow_seq=2, length=3, checksum=0xBEEF),
    ),
    (
        "1e12 20 05 00000009 00000001 00000002 0003",
        mptcp.Dss(data_ack=9, wide_ack=False, dsn=1, wide_dsn=False, subflow_seq=2, length=3),
    ),
    (
        f"1e16 20 0d 00000009 {B} 00000002 0003",
        mptcp.Dss(data_ack=9, wide_ack=False, dsn=KEY_B, subflow_seq=2, length=3),
    ),
    (
        f"1e16 20 07 {A} 00000001 00000002 0003",
        mptcp.Dss(data_ack=KEY_A, dsn=1, wide_dsn=False, subflow_seq=2, length=3),
    ),
    (
        f"1e1c 20 1f {A} {B} 00000000 0001 beef",
        mptcp.Dss(data_ack=KEY_A, dsn=KEY_B, length=1, checksum=0xBEEF, data_fin=True),
    ),
    # ADD_ADDR, figure 12: E is the last bit before the address id; an echo has no HMAC.
    (
        "1e10 30 04 0a000001 a0a1a2a3a4a5a6a7",
        mptcp.AddAddr(address_id=4, address="10.0.0.1", hmac=HMAC_64),
    ),
    (
        "1e12 30 04 0a000001 1f90 a0a1a2a3a4a5a6a7",
        mptcp.AddAddr(address_id=4, address="10.0.0.1", port=8080, hmac=HMAC_64),
    ),
    ("1e08 31 04 0a000001", mptcp.AddAddr(address_id=4, address="10.0.0.1")),
    ("1e0a 31 04 0a000001 1f90", mptcp.AddAddr(address_id=4, address="10.0.0.1", port=8080)),
    (
        "1e1c 30 04 20010db8000000000000000000000001 a0a1a2a3a4a5a6a7",
        mptcp.AddAddr(address_id=4, address="2001:db8::1", hmac=HMAC_64),
    ),
    (
        "1e1e 30 04 20010db8000000000000000000000001 1f90 a0a1a2a3a4a5a6a7",
        mptcp.AddAddr(address_id=4, address="2001:db8::1", port=8080, hmac=HMAC_64),
    ),
    (
        "1e14 31 04 20010db8000000000000000000000001",
        mptcp.AddAddr(address_id=4, address="2001:db8::1"),
    ),
    (
        "1e16 31 04 20010db8000000000000000000000001 1f90",
        mptcp.AddAddr(address_id=4, address="2001:db8::1", port=8080),
    ),
    # REMOVE_ADDR, figure 13.
    ("1e04 40 01", mptcp.RemoveAddr(address_ids=(1,))),
    ("1e06 40 010207", mptcp.RemoveAddr(address_ids=(1, 2, 7))),
    ("1e28 40" + bytes(range(37)).hex(), mptcp.RemoveAddr(address_ids=tuple(range(37)))),
    # MP_PRIO (figure 11), MP_FAIL (16), MP_FASTCLOSE (14), MP_TCPRST (15).
    ("1e03 50", mptcp.MpPrio(backup=False)),
    ("1e03 51", mptcp.MpPrio(backup=True)),
    (f"1e0c 60 00 {A}", mptcp.MpFail(dsn=KEY_A)),
    (f"1e0c 70 00 {B}", mptcp.MpFastclose(receiver_key=KEY_B)),
    ("1e04 80 06", mptcp.MpTcprst(reason=6)),
    ("1e04 81 02", mptcp.MpTcprst(reason=2, transient=True)),
    ("1e04 8f 00", mptcp.MpTcprst(reason=0, transient=True, flags=0x0E)),
]


@pytest.mark.requirement(
    "RFC 8684",
    "3.2-MUST-2",
    "3.2-MUST-5",
    "3.3-MUST-1",
    "3.3.1-MUST-2",
    "3.3.2-MUST-2",
    "3.4.1-MUST-4",
)
@pytest.mark.parametrize(("octets", "option"), LAYOUT)
def test_written_and_read_as_drawn(octets: str, option: Option) -> None:
    raw = bytes.fromhex(octets)
    assert option.encode().hex() == raw.hex()
    assert parse_options(raw) == (option,)


@pytest.mark.requirement("RFC 8684", "3.4.1-MUST-5")
@pytest.mark.parametrize(
    ("octets", "option"),
    [
        ("1e0c 1e 02 12345678 9abcdef0", LAYOUT[7][1]),
        ("1e18 1f ff" + HMAC_160.hex(), mptcp.MpJoinAck(hmac=HMAC_160)),
        ("1e08 2f e1 00000001", mptcp.Dss(data_ack=1, wide_ack=False)),
        ("1e10 3e 04 0a000001 a0a1a2a3a4a5a6a7", LAYOUT[21][1]),
        ("1e04 4f 01", mptcp.RemoveAddr(address_ids=(1,))),
        ("1e03 5e", mptcp.MpPrio(backup=False)),
        (f"1e0c 6f ff {A}", mptcp.MpFail(dsn=KEY_A)),
        (f"1e0c 7f ff {B}", mptcp.MpFastclose(receiver_key=KEY_B)),
    ],
)
def test_reserved_bits_are_ignored(octets: str, option: Option) -> None:
    assert parse_options(bytes.fromhex(octets)) == (option,)


def test_a_and_m_mean_nothing_without_what_they_speak_of() -> None:
    """Section 3.3.1: a counts with A alone, m with M alone."""
    assert parse_options(bytes.fromhex("1e04 20 0a")) == (mptcp.Dss(),)


def test_data_fin_is_read_without_a_mapping() -> None:
    """Such an option has no meaning (section 3.3.3), but the codec does not judge it."""
    assert parse_options(bytes.fromhex("1e08 20 11 00000001")) == (
        mptcp.Dss(data_ack=1, wide_ack=False, data_fin=True),
    )


@pytest.mark.parametrize(
    "octets",
    [
        "1e02",  # no subtype at all
        "1e03 01",
        "1e05 01 01 00",
        f"1e0d 01 01 {A} 00",
        f"1e15 01 01 {A}{B} 00",
        "1e03 10",
        "1e0d 10 02 12345678 9abcdef0 00",
        "1e03 20",
        "1e0a 20 01 00000001 beef",  # a checksum without a mapping
        "1e08 20 03 00000001",  # shorter than its flags say
        "1e0d 20 04 00000001 00000002 00",
        "1e0f 20 04 00000001 00000002 0003 be",
        "1e12 20 04 00000001 00000002 0003 beef 0000",
        "1e08 30 04 0a000001",  # no HMAC, and no echo either
        "1e10 31 04 0a000001 a0a1a2a3a4a5a6a7",  # an echo with an HMAC
        "1e09 31 04 0a000001 1f",
        "1e03 40",  # no address id
        "1e04 50 01",  # MP_PRIO of RFC 6824, with an address id
        f"1e0d 60 00 {A} 00",
        "1e04 70 00",
        "1e03 80",
        "1e05 80 00 00",
        "1e04 90 00",
        "1e04 f0 00",  # for experiments
    ],
)
def test_a_length_that_fits_no_form_is_kept_as_unknown(octets: str) -> None:
    raw = bytes.fromhex(octets)
    (option,) = parse_options(raw)
    assert option == UnknownOption(30, raw[2:])
    assert option.encode() == raw
