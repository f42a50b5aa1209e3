"""The Internet checksum, against sums done one 16-bit word at a time."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from testbed.packet.checksum import checksum, total


def by_words(octets: bytes) -> int:
    """Return the checksum as RFC 1071, section 4.1, computes it: with end-around carries."""
    padded = octets + bytes(len(octets) % 2)
    added = 0
    for at in range(0, len(padded), 2):
        added += int.from_bytes(padded[at : at + 2], "big")
        added = (added & 0xFFFF) + (added >> 16)
    return ~added & 0xFFFF


def test_the_example_of_rfc_1071() -> None:
    """Section 3: the words 0001, f203, f4f5 and f6f7 add up to ddf2."""
    octets = bytes.fromhex("0001 f203 f4f5 f6f7")
    assert total(octets) == 0xDDF2
    assert checksum(total(octets)) == 0x220D


@given(st.binary(max_size=100).filter(any))
@example(b"\xff\xff")
@example(b"\x01")
@example(b"\x00\x01\xff\xfe")
def test_it_is_the_one_of_the_rfc(octets: bytes) -> None:
    assert checksum(total(octets)) == by_words(octets)


@given(st.lists(st.binary(max_size=20).filter(lambda part: len(part) % 2 == 0)), st.binary())
def test_parts_of_even_size_may_be_summed_on_their_own(parts: list[bytes], last: bytes) -> None:
    whole = b"".join((*parts, last))
    assert checksum(sum(map(total, (*parts, last)))) == checksum(total(whole))


@given(st.binary(max_size=100).filter(lambda octets: len(octets) % 2 == 0))
@example(b"\xff\xff")
@example(b"")
def test_data_and_its_checksum_sum_to_nothing(octets: bytes) -> None:
    assert total(octets + checksum(total(octets)).to_bytes(2, "big")) == 0


@given(st.binary(max_size=50))
def test_any_kind_of_buffer_has_the_same_sum(octets: bytes) -> None:
    assert total(bytearray(octets)) == total(memoryview(octets)) == total(octets)
