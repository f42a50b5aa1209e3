"""ICMP errors about our segments, and everything else that ICMP brings."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.errors import PacketError
from testbed.packet.address import Address, Flow
from testbed.packet.checksum import checksum, total
from testbed.packet.codec import emit
from testbed.packet.icmp import SOFT, IcmpError, IcmpKind, parse_icmp
from testbed.packet.segment import SYN, Segment

FLOWS = {
    4: Flow(Address("10.0.0.1", 40000), Address("10.0.0.2", 80)),
    6: Flow(Address("2001:db8::1", 40000), Address("2001:db8::2", 80)),
}
ROUTERS = {4: "192.0.2.254", 6: "2001:db8:f::1"}


def segment(version: int) -> bytes:
    flow = FLOWS[version]
    return emit(Segment(source=flow.local, destination=flow.remote, seq=0x89ABCDEF, flags=SYN))


def error(version: int, kind: int, code: int, about: bytes, *, mtu: int = 0) -> bytes:
    """Return the packet a router sends about another packet."""
    router = ipaddress.ip_address(ROUTERS[version]).packed
    host = ipaddress.ip_address(FLOWS[version].local.host).packed
    icmp = bytes((kind, code, 0, 0)) + mtu.to_bytes(4, "big") + about
    pseudo = total(router + host) + 58 + len(icmp) if version == 6 else 0
    icmp = icmp[:2] + checksum(pseudo + total(icmp)).to_bytes(2, "big") + icmp[4:]
    if version == 6:
        return bytes((0x60, 0, 0, 0, *len(icmp).to_bytes(2, "big"), 58, 64)) + router + host + icmp
    header = bytes((0x45, 0, *(20 + len(icmp)).to_bytes(2, "big"), 0, 0, 0, 0, 64, 1, 0, 0))
    return header + router + host + icmp


@pytest.mark.requirement("RFC 9293", "MUST-54")
@pytest.mark.parametrize(
    ("version", "kind", "code", "meaning"),
    [
        (4, 3, 0, IcmpKind.UNREACHABLE),
        (4, 3, 1, IcmpKind.UNREACHABLE),
        (4, 3, 2, IcmpKind.PORT_UNREACHABLE),
        (4, 3, 3, IcmpKind.PORT_UNREACHABLE),
        (4, 3, 4, IcmpKind.TOO_BIG),
        (4, 3, 5, IcmpKind.UNREACHABLE),
        (4, 3, 6, IcmpKind.UNREACHABLE),
        (4, 3, 7, IcmpKind.UNREACHABLE),
        (4, 3, 9, IcmpKind.PROHIBITED),
        (4, 3, 10, IcmpKind.PROHIBITED),
        (4, 3, 11, IcmpKind.UNREACHABLE),
        (4, 3, 12, IcmpKind.UNREACHABLE),
        (4, 3, 13, IcmpKind.PROHIBITED),
        (4, 11, 0, IcmpKind.TIME_EXCEEDED),
        (6, 1, 0, IcmpKind.UNREACHABLE),
        (6, 1, 1, IcmpKind.PROHIBITED),
        (6, 1, 2, IcmpKind.UNREACHABLE),
        (6, 1, 3, IcmpKind.UNREACHABLE),
        (6, 1, 4, IcmpKind.PORT_UNREACHABLE),
        (6, 1, 5, IcmpKind.PROHIBITED),
        (6, 1, 6, IcmpKind.PROHIBITED),
        (6, 2, 0, IcmpKind.TOO_BIG),
        (6, 3, 0, IcmpKind.TIME_EXCEEDED),
        (6, 4, 1, IcmpKind.PARAMETER_PROBLEM),
    ],
)
def test_each_code_has_its_meaning(version: int, kind: int, code: int, meaning: IcmpKind) -> None:
    mtu = 1400 if meaning is IcmpKind.TOO_BIG else 0
    assert parse_icmp(error(version, kind, code, segment(version), mtu=1400)) == IcmpError(
        kind=meaning, flow=FLOWS[version], seq=0x89ABCDEF, mtu=mtu
    )


@pytest.mark.requirement("RFC 9293", "MUST-56")
@pytest.mark.parametrize(
    ("version", "kind", "code"),
    [
        *((4, 3, code) for code in (0, 1, 5)),
        (4, 11, 0),
        *((4, 12, code) for code in (0, 1, 2)),
        *((6, 1, code) for code in (0, 3)),
        (6, 3, 0),
        *((6, 4, code) for code in (0, 1, 2)),
    ],
)
def test_soft_errors_are_those_of_the_rfc(version: int, kind: int, code: int) -> None:
    """RFC 9293, section 3.9.2.2; time that ran out in reassembly is about no segment of ours."""
    heard = parse_icmp(error(version, kind, code, segment(version)))
    assert heard is not None
    assert heard.kind in SOFT


@pytest.mark.parametrize("version", [4, 6])
def test_eight_octets_of_tcp_are_enough(version: int) -> None:
    about = segment(version)[: {4: 28, 6: 48}[version]]
    heard = parse_icmp(error(version, {4: 3, 6: 1}[version], 0, about))
    assert heard is not None
    assert heard.flow == FLOWS[version]
    with pytest.raises(PacketError, match="no whole ICMP error"):
        parse_icmp(error(version, {4: 3, 6: 1}[version], 0, about[:-1]))


@pytest.mark.requirement("RFC 9293", "MUST-55")
@pytest.mark.parametrize(
    "packet",
    [
        error(4, 8, 0, b"ping"),
        error(4, 3, 3, segment(4).replace(b"\x40\x06", b"\x40\x11", 1)),  # about UDP
        error(4, 3, 3, segment(6)),
        error(4, 4, 0, segment(4)),  # Source Quench
        error(4, 11, 1, segment(4)),  # reassembly: we never fragment
        error(6, 128, 0, b"ping"),
        error(6, 135, 0, b""),
        error(6, 1, 4, segment(6).replace(b"\x06\x40", b"\x11\x40", 1)),
    ],
)
def test_what_is_no_error_about_tcp_is_nothing(packet: bytes) -> None:
    assert parse_icmp(packet) is None


@pytest.mark.parametrize("version", [4, 6])
def test_a_wrong_checksum_is_an_error(version: int) -> None:
    packet = error(version, {4: 3, 6: 1}[version], 0, segment(version))
    with pytest.raises(PacketError, match="checksum"):
        parse_icmp(packet[:-1] + bytes((packet[-1] ^ 1,)))


@pytest.mark.parametrize("packet", [segment(4), segment(6), b"\x50" + segment(4)[1:]])
def test_what_is_not_icmp_is_an_error(packet: bytes) -> None:
    with pytest.raises(PacketError, match="not ICMP"):
        parse_icmp(packet)


def test_a_quoted_header_shorter_than_any_is_an_error() -> None:
    about = b"\x40" + segment(4)[1:12]
    with pytest.raises(PacketError, match="header of 0 octets"):
        parse_icmp(error(4, 3, 3, about))


@settings(max_examples=400)
@given(st.sampled_from((4, 6)), st.integers(0, 4), st.integers(0, 5), st.data())
def test_any_octets_are_an_error_nothing_or_a_packet_error(
    version: int, kind: int, code: int, data: st.DataObject
) -> None:
    about = bytearray(segment(version)[: data.draw(st.integers(0, 60))])
    for _ in range(data.draw(st.integers(0, 3))):
        if about:
            about[data.draw(st.integers(0, len(about) - 1))] = data.draw(st.integers(0, 255))
    packet = error(version, kind, code, bytes(about))
    try:
        parse_icmp(packet)
        parse_icmp(packet[: data.draw(st.integers(0, len(packet)))])
    except PacketError:
        pass
