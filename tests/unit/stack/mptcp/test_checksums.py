"""DSS checksums: RFC 8684, sections 3.1, 3.3 and 3.3.1."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.packet.mptcp import Dss, MpCapable
from testbed.packet.options import find
from testbed.packet.segment import ACK, FIN, RST
from testbed.stack.mptcp.checksum import covers, dss_checksum
from testbed.stack.mptcp.mapping import Mapping
from testbed.stack.mptcp.received_mappings import ReceivedMappings
from testbed.stack.mptcp.streams import DataSequence

from .script import PEER_KEY, all_dss, words_checksum
from .test_transfers import transfer

KERNEL = pathlib.Path(__file__).parents[3] / "vectors" / "kernel_handshakes.json"
MAPPINGS: list[dict[str, Any]] = [
    mapping
    for entry in json.loads(KERNEL.read_text())["entries"]
    for mapping in entry["mappings"]
    if mapping["length"]
]
REQUIRED = 0x81


@pytest.mark.parametrize("mapping", MAPPINGS, ids=lambda one: f"{one['dsn']}-{one['length']}")
def test_checksums_of_the_kernel(mapping: dict[str, Any]) -> None:
    made = dss_checksum(
        bytes.fromhex(mapping["payload"]),
        int(mapping["dsn"], 16),
        mapping["subflow_seq"],
        mapping["length"],
    )
    assert f"{made:04x}" == mapping["checksum"]


numbers_of_64_bits = st.integers(0, 2**64 - 1)


@given(
    st.binary(min_size=1, max_size=300),
    numbers_of_64_bits,
    st.integers(0, 2**40),
    st.integers(0, 2**40),
    st.booleans(),
    st.data(),
)
def test_a_changed_octet_is_noticed(
    data: bytes, initial: int, position: int, subflow: int, fin: bool, draw: st.DataObject
) -> None:
    numbers = DataSequence(initial)
    dss = Dss(
        dsn=numbers.number(position),
        subflow_seq=(subflow + 1) % 2**32,
        length=len(data) + fin,
    )
    summed = Mapping(
        data=position,
        subflow=subflow,
        length=len(data),
        checksum=words_checksum(dss, data),
        data_fin=fin,
    )
    assert covers(summed, data, numbers)
    at = draw.draw(st.integers(0, len(data) - 1))
    changed = bytearray(data)
    changed[at] ^= draw.draw(st.integers(1, 255))
    assert covers(summed, bytes(changed), numbers) is (
        # 0000 and ffff are one number to ones' complement.
        int.from_bytes(data, "big") % 0xFFFF == int.from_bytes(changed, "big") % 0xFFFF
    )
    longer = msgspec.structs.replace(summed, data_fin=not fin)
    assert not covers(longer, data, numbers)


def test_both_zeros_are_a_checksum() -> None:
    """RFC 1071: in ones' complement ffff is 0 as well."""
    numbers = DataSequence(0)
    fill = dss_checksum(b"\0\0", 1, 1, 2).to_bytes(2, "big")
    for zero in (0x0000, 0xFFFF):
        assert covers(Mapping(data=0, subflow=0, length=2, checksum=zero), fill, numbers)


def test_summed_mapping_is_kept_whole_or_not_at_all() -> None:
    """Section 3.3.1: a checksum says nothing of a part."""
    mappings = ReceivedMappings()
    mappings.add(Mapping(data=10, subflow=10, length=10, checksum=1))
    mappings.add(Mapping(data=5, subflow=5, length=10, checksum=2))
    mappings.add(Mapping(data=15, subflow=15, length=10, checksum=3))
    mappings.add(Mapping(data=0, subflow=0, length=10, checksum=4))
    first, second = mappings.at(0), mappings.at(10)
    assert first is not None
    assert second is not None
    assert (first.subflow, first.length, first.checksum) == (0, 10, 4)
    assert (second.subflow, second.length, second.checksum) == (10, 10, 1)
    assert mappings.at(20) is None


# Segments by hand.


def test_data_of_the_listener_has_checksums(script: Any) -> None:
    """Section 3.1: the SYN's A flag is enough; it comes back in the SYN/ACK."""
    world = script()
    peer = world.open(flags=REQUIRED)
    world.write(b"to the peer")
    (sent,) = peer.take()
    (dss,) = all_dss([sent])
    assert dss.checksum == words_checksum(dss, b"to the peer")
    assert world.connection.info()["info"]["csum_enabled"] == 1
    world.connection.shutdown()
    world.pump()
    (fin,) = all_dss(peer.take())
    assert fin.data_fin
    assert (fin.subflow_seq, fin.length) == (0, 1)
    assert fin.checksum == words_checksum(fin, b"")


@pytest.mark.requirement("RFC 8684", "3.1-MUST-17")
def test_listener_that_requires_checksums(script: Any) -> None:
    """Section 3.1: A=0 in the SYN and A=1 in the SYN/ACK."""
    world = script(checksum=True)
    peer = world.open()
    peer.send(ACK, world.summed(0, b"abc", 1), payload=b"abc")
    assert world.connection.read(100) == b"abc"


@pytest.mark.requirement("RFC 8684", "3.1-SHOULD-4")
def test_first_data_of_the_initiator_has_its_checksum_in_capable(script: Any) -> None:
    """Section 3.1: MP_CAPABLE of 24 octets maps IDSN + 1 to subflow sequence number 1."""
    world = script(checksum=True)
    peer, (third,) = world.accept(flags=0x01)
    assert find(third.options, MpCapable).flags == REQUIRED
    world.write(b"hello")
    (first,) = peer.take()
    option = find(first.options, MpCapable)
    assert len(option.encode()) == 24
    assert option.flags == REQUIRED
    mapped = Dss(dsn=world.keys.incoming.number(0), subflow_seq=1, length=5)
    assert option.checksum == words_checksum(mapped, b"hello")
    world.write(b"world")
    (dss,) = all_dss(peer.take())
    assert dss.checksum == words_checksum(dss, b"world")


def test_connection_without_checksums_has_none(script: Any) -> None:
    world = script()
    peer = world.open()
    world.write(b"data")
    (dss,) = all_dss(peer.take())
    assert dss.checksum is None
    assert world.connection.info()["info"]["csum_enabled"] == 0


@pytest.mark.parametrize("wide", [True, False])
def test_pseudo_header_has_64_bits_whatever_the_option_has(script: Any, wide: bool) -> None:
    """Section 3.3.1."""
    world = script()
    peer = world.open(flags=REQUIRED)
    whole = world.summed(0, b"abc", 1)
    short = msgspec.structs.replace(whole, dsn=whole.dsn if wide else whole.dsn % 2**32)
    peer.send(ACK, msgspec.structs.replace(short, wide_dsn=wide), payload=b"abc")
    assert world.connection.read(100) == b"abc"


def test_mapping_in_pieces_is_taken_when_it_is_whole(script: Any) -> None:
    """Section 3.3.1: the checksum covers all data of the mapping, and so waits for it."""
    world = script()
    peer = world.open(flags=REQUIRED)
    dss = world.summed(0, b"onetwosix", 1)
    peer.send(ACK, dss, payload=b"one")
    *_, last = peer.send(ACK, payload=b"six", seq=7)  # the middle is missing
    assert world.connection.read(100) == b""
    assert all_dss([last])[0].data_ack == world.keys.outgoing.number(0)
    *_, last = peer.send(ACK, dss, payload=b"two", seq=4)
    assert world.connection.read(100) == b"onetwosix"
    assert all_dss([last])[0].data_ack == world.keys.outgoing.number(9)


def test_data_fin_counts_in_the_checksum(script: Any) -> None:
    """Section 3.3.3: as one octet of the length."""
    world = script()
    peer = world.open(flags=REQUIRED)
    peer.send(ACK, world.summed(0, b"abc", 1, data_fin=True), payload=b"abc")
    assert world.connection.read(100) == b"abc"
    assert world.connection.at_eof


def test_data_fin_of_damaged_data_is_none(script: Any) -> None:
    """Section 3.7: no part of the segment that failed can be trusted, nor can its length."""
    world = script()
    first = world.open(flags=REQUIRED)
    second = world.joined()
    right = world.summed(0, b"abc", 1, data_fin=True)
    first.send(ACK, msgspec.structs.replace(right, length=3), payload=b"abc")
    second.send(ACK, world.summed(0, b"abcdef", 1), payload=b"abcdef")
    assert world.connection.read(100) == b"abcdef"
    assert not world.connection.at_eof


def test_data_fin_of_data_in_pieces_waits_for_the_checksum(script: Any) -> None:
    """Section 3.3.3: until the mapping is whole, its length may be wrong."""
    world = script()
    first = world.open(flags=REQUIRED)
    second = world.joined()
    first.send(ACK, world.summed(0, b"abcdef", 1, data_fin=True), payload=b"abc")
    second.send(ACK, world.summed(0, b"abcdef", 1), payload=b"abcdef")
    assert not world.connection.at_eof
    (answer,) = first.send(ACK, payload=b"def")
    assert all_dss([answer])[0].data_ack == world.keys.outgoing.number(7)
    assert world.connection.read(100) == b"abcdef"
    assert world.connection.at_eof


def test_data_fin_alone_is_checked(script: Any) -> None:
    """Section 3.3.3: by the pseudo-header; a wrong one is not acknowledged, so it comes again."""
    world = script()
    peer = world.open(flags=REQUIRED)
    right = world.summed(0, b"", 0, data_fin=True)
    wrong = msgspec.structs.replace(right, checksum=right.checksum ^ 1)
    peer.send(ACK, wrong)
    assert not world.connection.at_eof
    peer.send(ACK, right)
    assert world.connection.at_eof


@pytest.mark.requirement("RFC 8684", "3.1-SHOULD-4")
def test_first_data_with_a_checksum_in_capable(script: Any) -> None:
    """Section 3.1: as responder."""
    world = script(checksum=True)
    peer = world.subpeer()
    (answer,) = peer.syn(MpCapable())
    capable = find(answer.options, MpCapable)
    assert capable.flags == REQUIRED
    world.keys.learn(capable.sender_key)
    option = MpCapable(
        flags=REQUIRED,
        sender_key=PEER_KEY,
        receiver_key=capable.sender_key,
        data_length=5,
        checksum=world.summed(0, b"hello", 1).checksum,
    )
    peer.send(ACK, option, payload=b"hello")
    assert world.connection.read(100) == b"hello"


@pytest.mark.requirement("RFC 8684", "3.1-MUST-16", "3.1-MUST-17")
def test_third_ack_may_be_first_to_require_checksums(script: Any) -> None:
    """Section 3.1: its A flag confirms the decision, of which the path may have hidden a part."""
    world = script()
    peer = world.subpeer()
    (answer,) = peer.syn(MpCapable())
    key = find(answer.options, MpCapable).sender_key
    world.keys.learn(key)
    peer.send(ACK, MpCapable(flags=REQUIRED, sender_key=PEER_KEY, receiver_key=key))
    peer.send(ACK, world.summed(0, b"abc", 1), payload=b"abc")
    assert world.connection.read(100) == b"abc"
    world.write(b"answer")
    (sent,) = peer.take()
    (dss,) = all_dss([sent])
    assert dss.checksum == words_checksum(dss, b"answer")


@pytest.mark.requirement("RFC 8684", "3.3-MUST-2", "3.3-MUST-3")
@pytest.mark.parametrize("agreed", [True, False])
def test_checksum_not_as_agreed_resets_the_subflow(script: Any, agreed: bool) -> None:
    """Section 3.3: a missing checksum, and one that was not negotiated."""
    world = script()
    world.open(flags=REQUIRED if agreed else 0x01)
    second = world.joined()
    dss = world.data(0, 3, 1) if agreed else world.summed(0, b"abc", 1)
    *_, last = second.send(ACK, dss, payload=b"abc")
    assert last.flags & RST
    assert world.connection.read(100) == b""
    assert not world.connection.closed


@pytest.mark.requirement("RFC 8684", "3.3-MUST-3")
def test_first_data_without_the_checksum_that_was_agreed_on(script: Any) -> None:
    """Section 3.3: MP_CAPABLE is no exception; no program gets such a connection."""
    world = script(checksum=True)
    peer = world.subpeer()
    (answer,) = peer.syn(MpCapable())
    key = find(answer.options, MpCapable).sender_key
    third = MpCapable(flags=REQUIRED, sender_key=PEER_KEY, receiver_key=key, data_length=5)
    *_, last = peer.send(ACK, third, payload=b"hello")
    assert last.flags & RST
    assert world.connections == []


@pytest.mark.requirement("RFC 8684", "3.7-MUST-NOT-1")
def test_wrong_checksum_closes_the_subflow(script: Any) -> None:
    """Section 3.7: its data is not acknowledged, and comes on another."""
    world = script()
    first = world.open(flags=REQUIRED)
    second = world.joined()
    *_, last = second.send(ACK, world.summed(0, b"abc", 1), payload=b"abd")
    assert last.flags & RST
    *_, last = first.send(ACK, world.summed(0, b"abc", 1), payload=b"abc")
    assert world.connection.read(100) == b"abc"
    assert all_dss([last])[0].data_ack == world.keys.outgoing.number(3)


def test_subflow_that_ends_within_a_mapping(script: Any) -> None:
    """Section 3.3.1: part of it is no data; the rest comes elsewhere, with all of it."""
    world = script()
    first = world.open(flags=REQUIRED)
    second = world.joined()
    *_, last = second.send(ACK | FIN, world.summed(0, b"abc", 1), payload=b"ab")
    assert last.flags & RST
    first.send(ACK, world.summed(0, b"abc", 1), payload=b"abc")
    assert world.connection.read(100) == b"abc"


def test_mapping_that_never_becomes_whole(script: Any) -> None:
    """Section 3.3.1: one that is larger than the window breaks the subflow."""
    world = script(receive_buffer=1000)
    peer = world.open(flags=REQUIRED)
    *_, last = peer.send(ACK, world.summed(0, bytes(2000), 1), payload=bytes(1000))
    assert last.flags & RST


# From end to end.


@pytest.mark.requirement("RFC 8684", "3.1-MUST-17", "3.3.1-RECOMMENDED-1")
@pytest.mark.parametrize("where", ["client", "server", "both"])
@pytest.mark.parametrize("paths", [1, 2])
def test_transfer_with_checksums(network: Any, paths: int, where: str) -> None:
    """Over paths that lose segments; every mapping on the wire has its checksum."""
    net = network(paths, seed=5, checksum=where != "server", server={"checksum": where != "client"})
    for path in net.paths.values():
        path.loss = 0.02
    connection = transfer(net)
    assert connection.info()["info"]["csum_enabled"] == 1
    mapped = [one for segment in net.sent for one in all_dss([segment]) if one.dsn is not None]
    assert mapped
    assert all(one.checksum is not None for one in mapped)


@pytest.mark.requirement("RFC 8684", "3.3.3-SHOULD-1")
def test_rest_of_a_mapping_that_is_known_ends_no_subflow_with_a_reset(script: Any) -> None:
    """Section 3.3.3: data that came on another subflow stays unread; FIN ends its subflow."""
    world = script(checksum=True)
    first = world.open(flags=0x81)
    first.send(ACK, world.ack())
    second = world.joined()
    payload = bytes(range(200))
    again = world.summed(0, payload, 1)
    second.send(ACK, again, payload=payload[:100])
    first.send(ACK, world.summed(0, payload, 1), payload=payload)
    assert world.connection.read(1000) == payload
    world.connection.shutdown()
    world.pump()
    first.send(ACK, world.summed(200, b"", 0, data_fin=True, acked=1))
    assert world.connection.closed
    assert any(one.flags & FIN for one in second.take())
    answers = second.send(ACK, again, payload=payload[100:])
    assert not any(one.flags & RST for one in answers)
    assert all(one.flags & ACK for one in second.send(FIN | ACK))
