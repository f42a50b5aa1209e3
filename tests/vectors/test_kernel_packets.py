"""What we read in the kernel's packets is what tshark reads, and so it is with what we write."""

from __future__ import annotations

import functools
import json
import pathlib
from typing import Any

import pytest
from hypothesis import given, settings

from testbed.packet import mptcp
from testbed.packet.codec import emit, parse
from testbed.packet.options import UnknownOption
from testbed.packet.segment import SYN, Segment
from tests import segments, tshark
from tests.vectors.segment_fields import segment_fields
from tests.vectors.wire_fields import wire_fields

FILE = pathlib.Path(__file__).with_name("kernel_packets.json")
ENTRIES: list[dict[str, Any]] = json.loads(FILE.read_text())["entries"]


def packet(entry: dict[str, Any]) -> bytes:
    return bytes.fromhex(entry["packet"])


@functools.cache
def emitted_as_tshark_reads_it() -> list[dict[str, Any]]:
    packets = [emit(parse(packet(entry))) for entry in ENTRIES]
    return [wire_fields(decoded) for decoded in tshark.decode_packets(packets)]


@pytest.mark.parametrize("number", range(len(ENTRIES)))
def test_we_read_the_kernels_packets_as_tshark_does(number: int) -> None:
    segment = parse(packet(ENTRIES[number]))
    assert segment_fields(segment) == ENTRIES[number]["tshark"]
    assert not [option for option in segment.options if isinstance(option, UnknownOption)]


@pytest.mark.parametrize("number", range(len(ENTRIES)))
def test_tshark_reads_what_we_write_as_the_kernels_own(number: int) -> None:
    assert emitted_as_tshark_reads_it()[number] == ENTRIES[number]["tshark"]


@pytest.mark.parametrize("number", range(len(ENTRIES)))
def test_the_kernels_packet_says_the_same_once_we_have_written_it(number: int) -> None:
    segment = parse(packet(ENTRIES[number]))
    assert parse(emit(segment)) == segment


def test_every_subtype_is_there() -> None:
    options = [option for entry in ENTRIES for option in parse(packet(entry)).options]
    subtypes = {option.subtype for option in options if isinstance(option, mptcp.MptcpOption)}
    assert subtypes == set(range(9))
    sizes = {len(option.encode()) for option in options if isinstance(option, mptcp.MpCapable)}
    assert sizes == {4, 12, 20, 22, 24}
    sizes = {len(option.encode()) for option in options if isinstance(option, mptcp.AddAddr)}
    assert sizes == {8, 10, 16, 18, 20, 22, 28, 30}


def decodable(segment: Segment) -> bool:
    """Whether tshark has words for all of it, and does not give up (4.0: at MP_JOIN in no SYN)."""
    return not any(
        isinstance(option, UnknownOption)
        or (isinstance(option, mptcp.MpCapable) and option.version != mptcp.VERSION)
        or (isinstance(option, mptcp.MpJoinSyn) and segment.flags != SYN)
        for option in segment.options
    )


def test_tshark_reads_in_any_packet_of_ours_what_we_wrote() -> None:
    several: list[Segment] = []

    @settings(max_examples=200)
    @given(segments.segments().filter(decodable))
    def collect(segment: Segment) -> None:
        several.append(segment)

    collect()
    decoded = tshark.decode_packets(map(emit, several), analyze=False)
    for segment, seen in zip(several, decoded, strict=True):
        assert wire_fields(seen) == segment_fields(segment)
        assert not [warning for warning in seen.warnings if "checksum" in warning.lower()]
