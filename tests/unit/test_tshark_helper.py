"""The tests' second opinion: what it reads, and that it complains when it should."""

from __future__ import annotations

import functools
import pathlib

from testbed.packet.address import Address
from testbed.packet.codec import emit
from testbed.packet.mptcp import Dss, MpCapable, MpFastclose
from testbed.packet.segment import ACK, SYN, Segment
from tests import tshark

SEGMENT = Segment(
    source=Address("10.0.0.1", 40000),
    destination=Address("10.0.0.2", 80),
    seq=4_000_000_000,
    ack=1,
    flags=ACK,
    window=100,
    options=(Dss(data_ack=2**63, wide_ack=True), MpFastclose(receiver_key=2**64 - 1)),
    payload=b"GET nothing",
)


def test_fields_are_absolute_and_options_are_apart() -> None:
    (packet,) = tshark.decode_packets([emit(SEGMENT)])
    assert packet.number("tcp.seq_raw") == 4_000_000_000
    assert packet.fields["tcp.port"] == ("40000", "80")
    assert packet.fields["tcp.option_kind"] == ("30", "30")
    assert [option["tcp.options.mptcp.subtype"] for option in packet.mptcp] == [("2",), ("7",)]
    assert packet.warnings == ()


def test_only_tcp_is_judged_not_what_it_carries() -> None:
    (packet,) = tshark.decode_packets([emit(SEGMENT)])
    assert not [name for name in packet.fields if name.startswith("http")]


def test_a_wrong_checksum_is_a_warning_unless_it_was_never_made() -> None:
    unfinished = [emit(SEGMENT, partial_checksum=True)]
    (judged,) = tshark.decode_packets(unfinished)
    assert any("checksum" in warning.lower() for warning in judged.warnings)
    (spared,) = tshark.decode_packets(unfinished, check_tcp_checksum=False)
    assert spared.warnings == ()


def test_a_capture_file_keeps_its_order(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "two.pcap"
    tshark.write_pcap(path, [emit(SEGMENT), emit(SEGMENT)])
    assert [packet.number("frame.number") for packet in tshark.decode_file(path)] == [1, 2]


def test_tshark_is_not_believed_where_it_is_wrong_about_mappings() -> None:
    """Data mapped by MP_CAPABLE, a bare ACK, data without a mapping: only the last is wrong."""
    a, b = Address("10.0.0.1", 40000), Address("10.0.0.2", 4000)
    syn, syn_ack = MpCapable(flags=0x21), MpCapable(flags=0x21, sender_key=2)
    ack = MpCapable(flags=0x21, sender_key=1, receiver_key=2)
    data = MpCapable(flags=0x21, sender_key=1, receiver_key=2, data_length=4)
    from_a = functools.partial(Segment, source=a, destination=b, window=100)
    from_b = functools.partial(Segment, source=b, destination=a, window=100)
    flow = [
        from_a(seq=0, flags=SYN, options=(syn,)),
        from_b(seq=0, ack=1, flags=SYN | ACK, options=(syn_ack,)),
        from_a(seq=1, ack=1, flags=ACK, options=(ack,)),
        from_a(seq=1, ack=1, flags=ACK, options=(data,), payload=b"four"),
        from_b(seq=1, ack=5, flags=ACK, options=(Dss(data_ack=9),)),
        from_a(seq=5, ack=1, flags=ACK, options=(Dss(data_ack=9),), payload=b"!"),
    ]
    *right, wrong = tshark.decode_packets(map(emit, flow))
    assert [packet.warnings for packet in right] == [()] * len(right)
    assert wrong.warnings == ("No mapping available",)
