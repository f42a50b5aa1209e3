"""The effect of single boxes on segments, without a network and a clock."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest

from testbed.middlebox.base import Middlebox
from testbed.middlebox.firewall import Firewall
from testbed.middlebox.mss import ClampMss
from testbed.middlebox.nat import Nat
from testbed.middlebox.options import StripOptions
from testbed.middlebox.payload import RewritePayload
from testbed.middlebox.policer import Policer
from testbed.middlebox.segmentation import Coalesce
from testbed.middlebox.segments import OPTIONS, WHERE
from testbed.packet.address import Address
from testbed.packet.codec import header_length
from testbed.packet.mptcp import Dss, MpCapable, MpJoinSyn, MptcpOption
from testbed.packet.options import (
    FastOpen,
    MaximumSegmentSize,
    SackPermitted,
    Timestamps,
    UnknownOption,
    WindowScale,
)
from testbed.packet.segment import ACK, SYN, Segment

S = 1_000_000_000
FAMILIES = [("10.0.0.1", "10.0.0.2", "10.0.0.9"), ("fd00::1", "fd00::2", "fd00::9")]
JOIN = MpJoinSyn(address_id=1, token=1, nonce=1)


def segment(source: str = "10.0.0.1", destination: str = "10.0.0.2", **fields: Any) -> Segment:
    ports = {"source": Address(source, 1000), "destination": Address(destination, 80)}
    return Segment(**{**ports, "seq": 1, "flags": ACK, **fields})


def through(box: Middlebox, each: Segment, toward: str = "b", now: int = 0) -> list[Segment]:
    return list(box.process(each, toward, now))


@pytest.mark.parametrize(
    ("where", "flags"),
    [
        ("syn", [SYN]),
        ("syn_ack", [SYN | ACK]),
        ("handshake", [SYN, SYN | ACK]),
        ("data", [ACK]),
        ("all", [SYN, SYN | ACK, ACK]),
    ],
)
def test_where_options_are_stripped(where: str, flags: list[int]) -> None:
    box = StripOptions(MptcpOption, where=WHERE[where])
    before = (MaximumSegmentSize(1460), MpCapable())
    found = [
        each
        for each in (SYN, SYN | ACK, ACK)
        if through(box, segment(flags=each, options=before))[0].options == before[:1]
    ]
    assert found == flags


def test_a_segment_without_the_options_is_the_same_object() -> None:
    each = segment(options=(Timestamps(1, 2),))
    assert through(StripOptions(MptcpOption), each)[0] is each
    assert through(Firewall(MptcpOption), each)[0] is each
    assert through(ClampMss(1000), each)[0] is each


@pytest.mark.parametrize(
    ("options", "passes"),
    [
        ((MaximumSegmentSize(1460), SackPermitted(), Timestamps(1, 0), WindowScale(7)), True),
        ((), True),
        ((MaximumSegmentSize(1460), MpCapable()), False),
        ((Dss(data_ack=5),), False),
        ((FastOpen(),), False),
        ((UnknownOption(253, b"x"),), False),
    ],
)
def test_a_firewall_drops_segments_with_options_it_does_not_know(
    options: tuple[Any, ...], passes: bool
) -> None:
    box = Firewall(*OPTIONS["unknown"])
    assert bool(through(box, segment(flags=SYN, options=options))) is passes


def test_a_firewall_against_joins_lets_the_first_subflow_pass() -> None:
    box = Firewall(*OPTIONS["mp_join"], where=WHERE["syn"])
    assert through(box, segment(flags=SYN, options=(MpCapable(),)))
    assert not through(box, segment(flags=SYN, options=(JOIN,)))
    assert through(box, segment(flags=ACK, options=(JOIN,)))


def test_the_mss_is_clamped_on_syns() -> None:
    box = ClampMss(1000)
    for written, seen in ((1460, 1000), (900, 900)):
        for flags in (SYN, SYN | ACK):
            [found] = through(box, segment(flags=flags, options=(MaximumSegmentSize(written),)))
            assert found.options == (MaximumSegmentSize(seen),)


@pytest.mark.parametrize(("inside", "outside", "public"), FAMILIES)
def test_a_translation_that_is_not_used_is_forgotten(
    inside: str, outside: str, public: str
) -> None:
    box = Nat(public, outside="b", first_port=20_000, timeout_ns=10 * S)
    there = segment(inside, outside)
    back = msgspec.structs.replace(segment(outside), destination=Address(public, 20_000))
    for now in (0, 9 * S, 18 * S):  # each use keeps the entry
        assert through(box, there, "b", now)[0].source == Address(public, 20_000)
    assert through(box, back, "a", 28 * S)[0].destination == there.source
    assert through(box, back, "a", 38 * S + 1) == []
    assert through(box, there, "b", 40 * S)[0].source == Address(public, 20_001)
    assert through(box, back, "a", 40 * S) == []


def test_ports_are_used_again_when_their_time_is_over() -> None:
    box = Nat("10.0.0.9", outside="b", first_port=65_534, timeout_ns=10 * S)

    def port(host: str, now: int) -> list[int]:
        return [each.source.port for each in through(box, segment(host), "b", now)]

    assert [port(f"10.0.0.{n}", n) for n in (11, 12)] == [[65_534], [65_535]]
    assert port("10.0.0.13", 13) == []  # there is none left
    assert port("10.0.0.12", 6 * S) == [65_535]
    assert port("10.0.0.13", 11 * S) == [65_534]
    assert port("10.0.0.11", 11 * S) == []


@pytest.mark.parametrize("ends", [family[:2] for family in FAMILIES])
def test_a_policer_lets_its_rate_pass_and_its_burst_at_once(ends: tuple[str, str]) -> None:
    each = segment(*ends, payload=bytes(1000))
    size = header_length(each) + 1000
    box = Policer(8 * size * 10, burst=3 * size)  # ten such packets in a second
    passed = [now for now in range(0, 2 * S, S // 100) if through(box, each, "b", now)]
    assert passed[:3] == [0, S // 100, 2 * S // 100]
    assert len(passed) == 3 + 19  # the bucket, and what came into it before the last attempt
    assert all(later - earlier >= S // 10 for earlier, later in itertools.pairwise(passed[3:]))
    assert through(box, each, "a", 2 * S) == [each]  # the other direction has a bucket of its own


def test_a_packet_that_became_too_large_is_cut() -> None:
    box = RewritePayload(b"a", b"bcd" * 100, toward="b", mtu=1500)
    through(box, segment(flags=SYN, seq=0))
    pieces = through(box, segment(seq=1, payload=b"-" * 1400 + b"a", options=(Dss(data_ack=1),)))
    assert b"".join(each.payload for each in pieces) == b"-" * 1400 + b"bcd" * 100
    assert [header_length(each) + len(each.payload) <= 1500 for each in pieces] == [True, True]
    assert pieces[1].seq == 1 + len(pieces[0].payload)
    assert pieces[0].options == pieces[1].options


@pytest.mark.parametrize(("source", "destination", "_"), FAMILIES)
def test_what_is_coalesced_fits_into_the_mtu_with_its_options(
    source: str, destination: str, _: str
) -> None:
    options = (Timestamps(1, 1), Dss(data_ack=1))
    first = segment(source, destination, payload=bytes(700), options=options)
    room = 1500 - header_length(first) - 700
    for octets, expected in ((room, [700 + room]), (room + 1, [700, room + 1])):
        box = Coalesce(1460, mtu=1500)
        second = segment(source, destination, seq=701, payload=bytes(octets), options=options)
        passed = [*through(box, first), *through(box, second)]
        passed += [each for _, each in box.handle_timer(S)]
        assert [len(each.payload) for each in passed] == expected
