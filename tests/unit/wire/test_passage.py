"""Frames of a real wire go through boxes: octets in and out, without a process or an interface."""

from __future__ import annotations

import struct
from typing import Any

import msgspec
import pytest

from testbed.errors import InputError
from testbed.middlebox.box import Box, Work
from testbed.packet import codec
from testbed.packet.address import Address
from testbed.packet.mptcp import MpCapable
from testbed.packet.options import MaximumSegmentSize, Option
from testbed.packet.segment import ACK, PSH, SYN, Segment
from testbed.wire.emulator import passage
from testbed.wire.emulator.messages import Add
from testbed.wire.emulator.pool import VNET_HEADER, Pool
from testbed.wire.model import LinkModel
from testbed.wire.netem import Netem

FAMILIES = [("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2")]
MAC_A, MAC_B = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
NEEDS_CSUM, TCPV4 = 1, 1  # linux/virtio_net.h
MS = 1_000_000
STRIP = Box(kind="strip_options")
OPTIONS: tuple[Option, ...] = (MaximumSegmentSize(1460), MpCapable())


def header(source: str, *, turned: bool = False) -> bytes:
    macs = (MAC_A, MAC_B) if turned else (MAC_B, MAC_A)  # destination first
    return b"".join(macs) + (b"\x86\xdd" if ":" in source else b"\x08\x00")


def segment(ends: tuple[str, str] = FAMILIES[0], **fields: Any) -> Segment:
    ports = {"source": Address(ends[0], 1000), "destination": Address(ends[1], 80)}
    return Segment(**{**ports, "seq": 7, **fields})


class Wire:
    """A wire of which a test is the sockets."""

    def __init__(self, *row: Box) -> None:
        self.pool = Pool(2**24)
        netem = Netem()
        self.models = {
            toward: LinkModel(netem, mtu=1500, seed=1, frames=self.pool) for toward in "ab"
        }
        wire = Add(
            link="lan", a="x", b="y", mtu=1500, toward_a=netem, toward_b=netem, middlebox=row,
            nodes=("client", "server"),
        )  # fmt: skip
        self.passage = passage.made(wire, self.pool, self.models)

    def carry(
        self, frame: bytes, toward: str = "b", now: int = 0, vnet: bytes = bytes(VNET_HEADER)
    ) -> list[bytes]:
        """Let a frame come, and return those that leave toward the same end."""
        handle = self.pool.put(frame)
        assert handle is not None
        self.pool.frame(handle)[:VNET_HEADER] = vnet
        self.passage.entry(toward)(handle, len(frame), now)
        return self.left(toward, now)

    def left(self, toward: str, now: int = 0) -> list[bytes]:
        handles = self.models[toward].dequeue(now)
        found = [bytes(self.pool.frame(handle)) for handle in handles]
        self.pool.give_back(handles)
        assert all(each[:VNET_HEADER] == bytes(VNET_HEADER) for each in found)
        return [each[VNET_HEADER:] for each in found]


@pytest.mark.parametrize("ends", FAMILIES)
def test_a_changed_segment_has_right_checksums(ends: tuple[str, str]) -> None:
    wire = Wire(STRIP)
    syn = segment(ends, flags=SYN, options=OPTIONS)
    [frame] = wire.carry(header(ends[0]) + codec.emit(syn))
    assert frame[:14] == header(ends[0])
    seen = codec.parse(frame[14:], verify=True)
    assert seen == msgspec.structs.replace(syn, options=OPTIONS[:1])
    assert wire.passage.work() == (Work(kind="strip_options", came=1, left=1, changed=1),)


def others() -> dict[str, bytes]:
    """Frames that boxes do not look at."""
    good = codec.emit(segment(flags=SYN, options=OPTIONS))
    fragment = bytearray(good)
    fragment[6] |= 0x20  # more fragments
    fragment[10:12] = bytes(2)
    total = sum(struct.unpack("!10H", fragment[:20]))
    fragment[10:12] = struct.pack("!H", ~(total % 0xFFFF) & 0xFFFF)
    udp = bytearray(good)
    udp[9] = 17
    return {
        "ARP": MAC_B + MAC_A + b"\x08\x06" + bytes(28),
        "a fragment": header("10.") + bytes(fragment),
        "a wrong checksum": header("10.") + good[:-1] + bytes([good[-1] ^ 1]),
        "UDP": header("10.") + bytes(udp),
        "a stump": header("10.") + good[:30],
        "nothing to change": header("10.") + codec.emit(segment(flags=ACK, payload=b"data")),
    }


@pytest.mark.parametrize("frame", others().values(), ids=others())
def test_everything_else_passes_octet_by_octet(frame: bytes) -> None:
    assert Wire(STRIP).carry(frame) == [frame]


@pytest.mark.parametrize("ends", FAMILIES)
def test_a_checksum_that_is_left_to_hardware_is_made(ends: tuple[str, str]) -> None:
    syn = segment(ends, flags=SYN, options=OPTIONS)
    frame = header(ends[0]) + codec.emit(syn, partial_checksum=True)
    start = 14 + (40 if ":" in ends[0] else 20)
    vnet = struct.pack("=BBHHHH", NEEDS_CSUM, 0, 0, 0, start, 16)
    [seen] = Wire(STRIP).carry(frame, vnet=vnet)
    assert codec.parse(seen[14:], verify=True).options == OPTIONS[:1]


def test_a_frame_for_segmentation_offload_is_cut() -> None:
    whole = segment(flags=ACK | PSH, payload=bytes(range(250)) * 12)
    frame = header("10.") + codec.emit(whole, partial_checksum=True)
    vnet = struct.pack("=BBHHHH", NEEDS_CSUM, TCPV4, 54, 1400, 34, 16)
    seen = [codec.parse(each[14:]) for each in Wire(STRIP).carry(frame, vnet=vnet)]
    assert [len(each.payload) for each in seen] == [1400, 1400, 200]
    assert b"".join(each.payload for each in seen) == whole.payload


def test_an_answer_leaves_by_the_other_lane() -> None:
    wire = Wire(Box(kind="syn_proxy", options={"protects": "server"}))
    frame = header("10.") + codec.emit(segment(flags=SYN))
    assert wire.carry(frame) == []
    [answer] = wire.left("a")
    assert answer[:14] == header("10.", turned=True)
    seen = codec.parse(answer[14:], verify=True)
    assert (seen.flags, seen.destination) == (SYN | ACK, Address("10.0.0.1", 1000))


def test_what_waits_in_a_box_leaves_at_its_time() -> None:
    wire = Wire(Box(kind="coalesce", options={"size": 1000}))
    frame = header("10.") + codec.emit(segment(flags=ACK, payload=b"alone"))
    assert wire.carry(frame, now=5 * MS) == []
    assert wire.passage.next_ns() == 6 * MS
    wire.passage.advance(6 * MS - 1)
    assert wire.left("b", 6 * MS) == []
    wire.passage.advance(9 * MS)
    assert wire.left("b", 9 * MS) == [frame]


def test_a_lane_that_no_box_looks_at_leads_straight_to_its_model() -> None:
    wire = Wire(Box(kind="strip_options", options={"toward": "server"}))
    assert wire.passage.entry("a") == wire.models["a"].enqueue
    assert wire.passage.entry("b") != wire.models["b"].enqueue


def test_no_slot_is_lost() -> None:
    wire = Wire(STRIP, Box(kind="split", options={"size": 100}), Box(kind="firewall"))
    for _ in range(3):
        wire.carry(header("10.") + codec.emit(segment(flags=SYN, options=OPTIONS)))
        wire.carry(header("10.") + codec.emit(segment(flags=ACK, payload=bytes(450))))
    held = wire.pool.take(2**24)  # all there are
    wire.pool.give_back(held)
    fresh = Pool(2**24).take(2**24)
    assert len(held) == len(fresh)


def test_boxes_that_cannot_be_are_refused() -> None:
    with pytest.raises(InputError, match="no middlebox 'strip'"):
        Wire(Box(kind="strip"))
