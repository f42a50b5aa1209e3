"""Addresses as text and as octets."""

from __future__ import annotations

import pytest

from testbed.packet.address import Address, Flow, pack, unmapped, unpack


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("10.0.0.1", "0a000001"),
        ("255.255.255.255", "ffffffff"),
        ("::", "00" * 16),
        ("2001:db8::1", "20010db8" + "00" * 11 + "01"),
        ("2001:db8:0:1:1:1:1:1", "20010db8 0000 0001 0001 0001 0001 0001"),
        ("::ffff:192.0.2.1", "0000 0000 0000 0000 0000 ffff c000 0201"),
        ("2001:0:0:1::1", "2001 0000 0000 0001 0000 0000 0000 0001"),
    ],
)
def test_text_is_that_of_rfc_5952(text: str, octets: str) -> None:
    assert pack(text) == bytes.fromhex(octets)
    assert unpack(bytes.fromhex(octets)) == text


@pytest.mark.parametrize("text", ["", "localhost", "10.0.0", "10.0.0.1:80", "2001:db8::1::"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="does not appear"):
        pack(text)


@pytest.mark.parametrize("size", [0, 3, 5, 15, 17])
def test_addresses_have_4_or_16_octets(size: int) -> None:
    with pytest.raises(ValueError, match="does not appear"):
        unpack(bytes(size))


def test_ports_are_told_from_ipv6_by_brackets() -> None:
    here, there = Address("10.0.0.1", 80), Address("2001:db8::1", 443)
    assert str(Flow(here, there)) == "10.0.0.1:80 -> [2001:db8::1]:443"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("::ffff:10.0.1.2", "10.0.1.2"),
        ("10.0.1.2", "10.0.1.2"),
        ("::1", "::1"),
        ("::ffff:0", "::ffff:0"),
    ],
)
def test_mapped_addresses_are_those_of_ipv4(host: str, expected: str) -> None:
    assert unmapped(host) == expected
