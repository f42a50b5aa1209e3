"""The effect of boxes on a link on segments."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from testbed.middlebox.nat import Nat
from testbed.middlebox.options import StripOptions
from testbed.middlebox.payload import RewritePayload
from testbed.middlebox.replay import Replay
from testbed.middlebox.segmentation import Coalesce, Split
from testbed.middlebox.segments import on_data, on_handshake
from testbed.middlebox.sequence import RewriteSequence
from testbed.packet.address import Address
from testbed.packet.mptcp import AddAddr, MpCapable, MptcpOption
from testbed.packet.options import MaximumSegmentSize, Sack
from testbed.packet.segment import ACK, FIN, SYN, Segment

MS = 1_000_000
LINK = {
    "nodes": {"client": {}, "server": {}},
    "links": {"wifi": {"between": ["client", "server"], "netem": {"delay": "10ms"}}},
}


class Guarded:
    """A link with boxes on it, and both ends' addresses."""

    def __init__(self, laboratory: Any, *boxes: Any) -> None:
        self.lab = laboratory(LINK)
        self.client = self.lab.address("client", "wifi")
        self.server = self.lab.address("server", "wifi")
        self.lab.network.insert("wifi", *boxes)

    def there(self, *fields: dict[str, Any]) -> list[Segment]:
        """Send segments to the server and return what arrives."""
        return self._carry("client", "server", self.client, self.server, fields)

    def back(self, *fields: dict[str, Any]) -> list[Segment]:
        return self._carry("server", "client", self.server, self.client, fields)

    def answered(self, segment: Segment, **fields: Any) -> Segment:
        """Answer a segment from the server, and return what arrives."""
        self.lab.at("client").arrived.clear()
        answer = Segment(
            source=segment.destination,
            destination=segment.source,
            **{"seq": 7000, "flags": ACK, **fields},
        )
        self.lab.send("server", answer)
        self.lab.run()
        [(_, arrived)] = self.lab.at("client").arrived
        assert isinstance(arrived, Segment)
        return arrived

    def _carry(self, near: str, far: str, source: str, destination: str, fields: Any) -> Any:
        endpoint = self.lab.at(far)
        endpoint.arrived.clear()
        self.lab.send(near, *(self.lab.segment(source, destination, **each) for each in fields))
        self.lab.run()
        return [segment for _, segment in endpoint.arrived]


@pytest.mark.parametrize(("where", "stripped"), [(on_handshake, SYN), (on_data, ACK)])
def test_options_are_stripped_where_the_box_looks(
    laboratory: Any, where: Any, stripped: int
) -> None:
    link = Guarded(laboratory, StripOptions(MptcpOption, where=where))
    options = (MaximumSegmentSize(1460), MpCapable(sender_key=1))
    for flags in (SYN, ACK):
        [segment] = link.there({"flags": flags, "options": options})
        assert segment.options == (options[:1] if flags == stripped else options)


def test_options_are_stripped_in_one_direction_only(laboratory: Any) -> None:
    link = Guarded(laboratory, StripOptions(AddAddr, toward="a"))
    option = AddAddr(address_id=1, address="10.0.0.1")
    assert link.there({"options": (option,)})[0].options == (option,)
    assert link.back({"options": (option,)})[0].options == ()


@pytest.mark.parametrize("replace", [b"-", b"xyz", b"longer"])
def test_payload_is_rewritten_and_numbers_stay_together(laboratory: Any, replace: bytes) -> None:
    """ACKs of the new stream are translated to octets of the old one."""
    link = Guarded(laboratory, RewritePayload(b"abc", replace, toward="b", after=4))
    link.there({"flags": SYN, "seq": 99})
    text = b"abc-_abc_abc_"
    [whole] = link.there({"seq": 100, "payload": text})
    made = b"abc-_" + replace + b"_" + replace + b"_"
    assert (whole.seq, whole.payload) == (100, made)
    for cut in range(len(text) + 1):  # the same again, in two segments
        pieces = link.there(
            {"seq": 100, "payload": text[:cut]}, {"seq": 100 + cut, "payload": text[cut:]}
        )
        assert b"".join(piece.payload for piece in pieces) == made
        assert pieces[1].seq == 100 + len(pieces[0].payload)
        answer = link.answered(pieces[1], ack=pieces[1].seq)
        # The ACK covers the octets that came out, and none that would change them.
        assert answer.ack in (100 + cut, *range(100 + cut, 100 + cut + 4 - len(replace)))
    sack = Sack(((104, 105 + len(replace)),))
    answer = link.answered(whole, ack=100 + len(made), options=(sack,))
    assert answer.ack == 100 + len(text)
    assert answer.options == (Sack(((104, 108),)),)


def test_string_across_segments_is_left_alone(laboratory: Any) -> None:
    link = Guarded(laboratory, RewritePayload(b"abc", b"x", toward="b"))
    link.there({"flags": SYN, "seq": 99})
    pieces = link.there({"seq": 100, "payload": b"__ab"}, {"seq": 104, "payload": b"c__"})
    assert [piece.payload for piece in pieces] == [b"__ab", b"c__"]


def test_sequence_numbers_are_rewritten_consistently(laboratory: Any) -> None:
    link = Guarded(laboratory, RewriteSequence(seed=5))
    [syn] = link.there({"flags": SYN, "seq": 1000})
    shift = syn.seq - 1000
    assert shift % 2**32
    assert syn.ack == 0
    # The server's segments go the other way between the same ports.
    answer = link.lab.segment(link.server, link.client)
    answer = Segment(
        source=syn.destination,
        destination=syn.source,
        seq=7000,
        ack=(syn.seq + 1) % 2**32,
        flags=SYN | ACK,
        options=(Sack((((syn.seq + 5) % 2**32, (syn.seq + 9) % 2**32),)),),
    )
    link.lab.send("server", answer)
    link.lab.run()
    [(_, seen)] = link.lab.at("client").arrived
    assert seen.ack == 1001
    assert seen.options == (Sack(((1005, 1009),)),)
    assert seen.seq != 7000


def test_segments_are_split_with_their_options(laboratory: Any) -> None:
    link = Guarded(laboratory, Split(400))
    option = MaximumSegmentSize(1)
    pieces = link.there({"seq": 50, "payload": bytes(range(250)) * 4, "options": (option,)})
    assert [(piece.seq, len(piece.payload)) for piece in pieces] == [
        (50, 400),
        (450, 400),
        (850, 200),
    ]
    assert b"".join(piece.payload for piece in pieces) == bytes(range(250)) * 4
    assert all(piece.options == (option,) for piece in pieces)


def test_segments_are_coalesced(laboratory: Any) -> None:
    link = Guarded(laboratory, Coalesce(2000))
    first, second, third = MaximumSegmentSize(1), MaximumSegmentSize(2), MaximumSegmentSize(3)
    got = link.there(
        {"seq": 0, "payload": b"a" * 900, "options": (first,)},
        {"seq": 900, "payload": b"b" * 900, "options": (second,)},
        {"seq": 1800, "payload": b"c" * 900, "flags": ACK | FIN, "options": (third,)},
    )
    assert [(s.seq, s.payload, s.options) for s in got] == [
        (0, b"a" * 900 + b"b" * 900, (first,)),
        (1800, b"c" * 900, (third,)),
    ]
    assert got[1].flags == ACK | FIN


def test_a_segment_waits_a_millisecond_for_the_next(laboratory: Any) -> None:
    link = Guarded(laboratory, Coalesce(2000))
    link.there({"payload": b"alone"})
    assert [now for now, _ in link.lab.at("server").arrived] == [11 * MS]


def test_holes_and_handshakes_are_not_coalesced(laboratory: Any) -> None:
    link = Guarded(laboratory, Coalesce(2000))
    got = link.there(
        {"seq": 0, "payload": b"a"},
        {"seq": 2, "payload": b"b"},
        {"seq": 3, "flags": SYN},
    )
    assert [segment.seq for segment in got] == [0, 2, 3]


def test_addresses_are_translated_there_and_back(laboratory: Any) -> None:
    lab = laboratory(LINK)
    client, server = lab.address("client", "wifi"), lab.address("server", "wifi")
    public = f"{server.rpartition('.')[0]}.99"
    lab.network.insert("wifi", Nat(public, outside="b", first_port=20_000))
    lab.send("client", lab.segment(client, server, payload=b"there"))
    lab.run()
    [(_, seen)] = lab.at("server").arrived
    assert seen.source == Address(public, 20_000)
    for port in (20_000, 20_001):
        back = Segment(source=seen.destination, destination=Address(public, port), seq=0, flags=ACK)
        lab.send("server", back)
    lab.run()
    assert [s.destination for _, s in lab.at("client").arrived] == [Address(client, 1000)]


def test_the_other_family_is_not_translated(laboratory: Any) -> None:
    lab = laboratory(LINK)
    lab.network.insert("wifi", Nat("10.0.1.99", outside="b"))
    client, server = (lab.address(node, "wifi", ipv6=True) for node in ("client", "server"))
    for node, segment in (
        ("client", lab.segment(client, server)),
        ("server", lab.segment(server, client)),
    ):
        lab.send(node, segment)
    lab.run()
    assert [s.source.host for _, s in lab.at("server").arrived] == [client]
    assert [s.source.host for _, s in lab.at("client").arrived] == [server]


def test_segments_are_replayed_later(laboratory: Any) -> None:
    box = Replay(Random(1), chance=1.0, delays_ns=(100 * MS, 50 * MS), where=on_handshake)
    link = Guarded(laboratory, box)
    link.there({"flags": SYN}, {"flags": ACK})
    arrived = link.lab.at("server").arrived
    assert [(now, s.flags) for now, s in arrived] == [
        (10 * MS, SYN),
        (10 * MS, ACK),
        (60 * MS, SYN),
        (110 * MS, SYN),
    ]


def test_boxes_stand_in_a_row(laboratory: Any) -> None:
    link = Guarded(laboratory, Split(400), Coalesce(500))
    fields = {"payload": b"x" * 700}
    # Toward b the pieces meet the second box; toward a the second box comes first.
    assert [len(s.payload) for s in link.there(fields)] == [400, 300]
    assert [len(s.payload) for s in link.there({"payload": b"x" * 450})] == [450]
    assert [len(s.payload) for s in link.back({"payload": b"x" * 450})] == [400, 50]
