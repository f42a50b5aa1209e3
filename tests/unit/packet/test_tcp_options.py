"""The list of options in a header: padding, broken lengths, and what fits."""

from __future__ import annotations

import pytest
from hypothesis import given

from testbed.errors import PacketError
from testbed.packet.mptcp import AddAddr, Dss, MpJoinSyn, MpJoinSynAck, MpPrio, RemoveAddr
from testbed.packet.option_list import emit_options, options_size, parse_options
from testbed.packet.options import (
    MAX_LENGTH,
    MaximumSegmentSize,
    Option,
    Sack,
    SackPermitted,
    Timestamps,
    UnknownOption,
    WindowScale,
    find,
)
from testbed.packet.segment import Segment
from tests.segments import segments

SYN = (MaximumSegmentSize(1460), SackPermitted(), Timestamps(1, 2), WindowScale(7))


@pytest.mark.parametrize(
    ("octets", "option"),
    [
        ("0204 05b4", MaximumSegmentSize(1460)),
        ("0303 0e", WindowScale(14)),
        ("0402", SackPermitted()),
        ("050a 00000001 00000002", Sack(((1, 2),))),
        ("080a ffffffff 00000000", Timestamps(0xFFFFFFFF, 0)),
        ("fe04 f989", UnknownOption(254, b"\xf9\x89")),
    ],
)
def test_layout(octets: str, option: Option) -> None:
    raw = bytes.fromhex(octets)
    assert option.encode() == raw
    assert parse_options(raw) == (option,)


@pytest.mark.parametrize(
    "octets", ["0203 05", "0302", "0404 0000", "0502", "0506 00000001", "0806 00000001"]
)
def test_a_known_kind_of_unknown_length_is_kept(octets: str) -> None:
    raw = bytes.fromhex(octets)
    assert parse_options(raw) == (UnknownOption(raw[0], raw[2:]),)


@pytest.mark.requirement("RFC 9293", "MUST-7")
@pytest.mark.parametrize(
    "broken",
    [
        "08",  # the kind alone
        "0800",  # lengths that do not cover kind and length themselves
        "0801",
        "080b 00000001 00000002",  # longer than the header
        "fe0a",
        "1e05 01 01",
    ],
)
def test_an_illegal_length_ends_the_list_but_not_the_segment(broken: str) -> None:
    """RFC 9293, section 3.1, MUST-7: options of illegal length are handled without crashing."""
    assert parse_options(bytes.fromhex("0204 05b4" + broken)) == (MaximumSegmentSize(1460),)


@pytest.mark.requirement("RFC 9293", "MUST-4", "MUST-64")
def test_options_begin_on_any_octet_and_stop_at_the_end_of_the_list() -> None:
    octets = bytes.fromhex("01 0204 05b4 01 01 01 0303 07 00 02 0402")
    assert parse_options(octets) == (MaximumSegmentSize(1460), WindowScale(7))


def test_the_options_of_a_syn_fit_with_a_join() -> None:
    join = MpJoinSyn(address_id=1, token=2, nonce=3)
    assert len(emit_options((*SYN, join))) == 36
    answer = MpJoinSynAck(address_id=1, hmac=bytes(8), nonce=3)
    assert len(emit_options((*SYN, answer))) == MAX_LENGTH


def test_each_option_ends_on_a_word_while_there_is_room() -> None:
    assert emit_options((MpPrio(backup=True), WindowScale(1))).hex(" ", 4) == "011e0351 01030301"


def test_padding_between_options_gives_way_to_options() -> None:
    ids = RemoveAddr(address_ids=(1, 2))  # 5 octets
    several = (
        Timestamps(1, 2),
        ids,
        ids,
        MpPrio(backup=True),
        ids,
        WindowScale(1),
        SackPermitted(),
    )
    assert sum(-(-len(option.encode()) // 4) * 4 for option in several) > MAX_LENGTH
    emitted = emit_options(several)
    assert len(emitted) == 36
    assert parse_options(emitted) == several


def test_what_fits_not_even_without_padding_is_an_error() -> None:
    address = AddAddr(address_id=1, address="2001:db8::1", port=1, hmac=bytes(8))  # 30 octets
    with pytest.raises(PacketError, match=r"44 octets .* 40"):
        emit_options((Dss(data_ack=1), address))


def test_the_largest_announcement_fits_beside_timestamps_without_padding() -> None:
    announcement = AddAddr(address_id=1, address="2001:db8::1", port=1, hmac=bytes(8))
    options = (Timestamps(1, 2), announcement)
    assert len(emit_options(options)) == options_size(options) == MAX_LENGTH


@given(segments())
def test_sizes_are_those_of_the_octets(segment: Segment) -> None:
    for option in segment.options:
        assert option.size == len(option.encode())
    assert options_size(segment.options) == len(emit_options(segment.options))


@pytest.mark.requirement("RFC 9293", "MUST-69")
@given(segments())
def test_no_list_of_options_is_ended(segment: Segment) -> None:
    """RFC 9293, MUST-69: zeros would have to follow the end; a list is padded with NOP instead."""
    octets = emit_options(segment.options)
    at = 0
    while at < len(octets):
        assert octets[at] != 0
        at += 1 if octets[at] == 1 else octets[at + 1]
    assert at == len(octets)


def test_find_gives_the_first_of_a_class() -> None:
    assert find((Timestamps(1, 2), Timestamps(3, 4)), Timestamps) == Timestamps(1, 2)
    assert find(SYN, Sack) is None
