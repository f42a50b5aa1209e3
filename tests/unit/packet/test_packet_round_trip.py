"""Emitted packets parse to equal values, and other octets raise only PacketError."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from testbed.errors import PacketError
from testbed.packet.codec import emit, header_length, parse
from testbed.packet.option_list import emit_options, parse_options
from testbed.packet.options import Option, UnknownOption
from testbed.packet.segment import Segment
from tests import segments

FORMS = segments.tcp_options | segments.mptcp_options


@pytest.mark.requirement("RFC 9293", "MUST-68")
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_every_option_comes_back(form: str) -> None:
    @given(FORMS[form])
    def comes_back(option: Option) -> None:
        emitted = emit_options((option,))
        assert len(emitted) % 4 == 0
        assert parse_options(emitted) == (option,)
        assert emitted.endswith(option.encode())

    comes_back()


@pytest.mark.requirement("RFC 9293", "MUST-1", "MUST-5")
@settings(max_examples=300)
@given(segments.segments())
def test_every_segment_comes_back(segment: Segment) -> None:
    packet = emit(segment)
    assert parse(packet) == segment
    assert len(packet) == header_length(segment) + len(segment.payload)


@given(segments.segments(), st.binary(min_size=1, max_size=46))
def test_what_ethernet_appends_to_short_packets_is_no_payload(
    segment: Segment, padding: bytes
) -> None:
    assert parse(emit(segment) + padding) == segment


@settings(max_examples=300)
@given(packet=st.binary(max_size=80), verify=st.booleans())
@example(packet=b"", verify=True)
@example(packet=b"\x45", verify=False)
@example(packet=b"\x60" + bytes(39), verify=False)
def test_octets_of_any_kind_are_a_segment_or_a_packet_error(packet: bytes, verify: bool) -> None:
    parse_or_refuse(packet, verify)


@settings(max_examples=400)
@given(segments.segments(), st.data())
def test_a_packet_changed_anywhere_is_a_segment_or_a_packet_error(
    segment: Segment, data: st.DataObject
) -> None:
    packet = bytearray(emit(segment))
    for _ in range(data.draw(st.integers(1, 4))):
        packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(segments.u8)
    parse_or_refuse(bytes(packet), verify=False)


@given(segments.segments(), st.data())
def test_a_packet_cut_anywhere_is_a_packet_error(segment: Segment, data: st.DataObject) -> None:
    packet = emit(segment)
    with pytest.raises(PacketError):
        parse(packet[: data.draw(st.integers(0, len(packet) - 1))], verify=False)


@pytest.mark.requirement("RFC 9293", "MUST-6")
@settings(max_examples=400)
@given(st.binary(max_size=40))
def test_options_of_any_octets_are_read_and_can_be_written_again(octets: bytes) -> None:
    options = parse_options(octets)
    assert parse_options(emit_options(options)) == options


@settings(max_examples=400)
@given(st.integers(0, 15), st.binary(max_size=37))
def test_an_mptcp_option_of_any_octets_keeps_what_it_does_not_understand(
    subtype: int, rest: bytes
) -> None:
    data = bytes((subtype << 4 | (rest[0] & 0x0F if rest else 0), *rest[1:]))
    (option,) = parse_options(bytes((30, 2 + len(data))) + data)
    assert len(option.encode()) == 2 + len(data)
    if isinstance(option, UnknownOption):
        assert option == UnknownOption(30, data)


def parse_or_refuse(packet: bytes, verify: bool) -> None:
    try:
        segment = parse(packet, verify=verify)
    except PacketError:
        return
    assert parse(emit(segment)) == segment
