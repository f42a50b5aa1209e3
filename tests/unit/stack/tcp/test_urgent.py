"""RFC 9293, section 3.8.5: urgent data, MUST-30 to MUST-33 and MUST-62."""

from __future__ import annotations

import pytest

from testbed.packet.codec import emit, parse, split
from testbed.packet.segment import URG
from testbed.stack.connection import Urgent
from testbed.stack.tcp.connection import TcpConnection

from .network import Network, Pump
from .script import SCALED, SECOND, Script, bare


def urgent_events(script: Script) -> int:
    found = sum(isinstance(event, Urgent) for event in script.events)
    script.events.clear()
    return found


def pointers(script: Script) -> list[int | None]:
    """Return the relative end of urgent data that each segment says, if it does."""
    return [
        (segment.seq + segment.urgent - (script.base or 0)) & 0xFFFF_FFFF
        if segment.flags & URG
        else None
        for segment in script.last
    ]


@pytest.mark.requirement("RFC 9293", "MUST-33")
def test_urgent_data_stays_in_its_place_in_the_stream() -> None:
    script = Script()
    connection = script.connect()
    script.inject("PU.", 1, 1, b"urgent", urgent=3)
    assert urgent_events(script) == 1
    assert connection.urgent_left == 3
    assert connection.read(2) == b"ur"
    assert connection.urgent_left == 1
    assert connection.read(10) == b"gent"
    assert connection.urgent_left == 0


@pytest.mark.requirement("RFC 9293", "MUST-62", "MUST-32")
def test_the_application_hears_of_urgent_data_before_it_has_come() -> None:
    """MUST-32; the pointer counts from the segment's number, to the octet after (MUST-62)."""
    script = Script()
    connection = script.connect()
    script.inject("U.", 1, 1, urgent=1000)
    assert urgent_events(script) == 1
    assert connection.urgent_left == 1000
    script.inject("U.", 1, 1, urgent=1000)
    assert urgent_events(script) == 0
    script.inject("U.", 1, 1, urgent=1001)
    assert urgent_events(script) == 1
    script.inject("U.", 1, 1, urgent=5)  # an older segment, overtaken
    assert urgent_events(script) == 0
    assert connection.urgent_left == 1001


def test_a_syn_ack_may_have_an_urgent_pointer() -> None:
    """RFC 9293, 3.10.7.3: SYN-SENT goes on with the sixth step.  The pointer counts from SYN."""
    script = Script()
    connection = script.open()
    script.out()
    script.inject("S.U", 0, 1, b"urgent", urgent=4)
    assert urgent_events(script) == 1
    assert connection.urgent_left == 3
    assert connection.read(3) == b"urg"
    assert connection.urgent_left == 0


@pytest.mark.parametrize("crossed", [False, True])
def test_a_syn_may_have_an_urgent_pointer(*, crossed: bool) -> None:
    """RFC 9293, 3.10.7.2 and 3.10.7.3: it counts like the text of a SYN."""
    script = Script()
    if crossed:
        script.open()
        script.out()
    else:
        script.listen()
    script.inject("SU", 0, payload=b"urgent", urgent=4)
    script.inject(".", 7, 1)
    assert urgent_events(script) == 1
    assert script.connection.urgent_left == 3


def test_a_pointer_to_what_was_read_is_no_news() -> None:
    script = Script()
    connection = script.connect()
    script.inject("P.", 1, 1, b"0123456789")
    connection.read(10)
    script.inject("U.", 11, 1, urgent=0)
    assert urgent_events(script) == 0
    assert connection.urgent_left == 0


@pytest.mark.requirement("RFC 9293", "MUST-62")
def test_each_segment_tells_of_urgent_data_until_it_has_left() -> None:
    script = Script()
    connection = script.connect()
    connection.send(b"a" * 3000)
    assert connection.send_urgent(b"!") == 1
    script.out()
    assert pointers(script) == [3002, 3002, 3002]
    connection.send(b"b" * 100)
    script.inject(".", 1, 3002)
    assert pointers(script) == [None]


@pytest.mark.requirement("RFC 9293", "MUST-31")
def test_urgent_data_of_any_length() -> None:
    """MUST-31: the pointer has 16 bits. If urgent data end farther away, it has its maximum."""
    script = Script()
    connection = script.connect(SCALED)
    connection.send_urgent(bytes(100_000))
    script.out()
    assert {segment.urgent for segment in script.last} == {0xFFFF}
    script.inject(".", 1, 14601)
    script.inject(".", 1, 43801)
    assert pointers(script)[-1] == 100_001


def test_a_closed_window_does_not_hide_urgent_data() -> None:
    """Section 3.8.6.1: probes carry the pointer."""
    script = Script()
    connection = script.connect(win=0)
    connection.send_urgent(b"!")
    script.out()
    script.wait(SECOND)
    assert all(segment.flags & URG for segment in script.last)


@pytest.mark.requirement("RFC 9293", "MUST-66")
def test_urgent_data_is_told_of_though_the_window_is_closed() -> None:
    """Section 3.4, MUST-66."""
    script = Script(bare(receive_buffer=3000))
    connection = script.connect()
    script.inject(".", 1, 1, b"x" * 3000)
    assert script.last[-1].window == 0
    script.inject("U.", 3001, 1, b"z", urgent=10)
    assert urgent_events(script) == 1
    assert connection.urgent_left == 3010
    assert connection.readable == 3000


def test_a_retransmission_carries_it() -> None:
    script = Script()
    connection = script.connect()
    connection.send_urgent(b"!")
    script.out()
    script.wait(SECOND)
    assert pointers(script) == [2]


def test_pieces_of_a_large_segment_point_to_the_same_octet() -> None:
    script = Script(bare(gso=True))
    connection = script.connect()
    connection.send_urgent(bytes(8000))
    script.out()
    assert not any(segment.gso_size for segment in script.last)
    large = parse(emit(script.last[0]), gso_size=500)
    ends = [piece.seq + piece.urgent for piece in split(large)]
    assert len(set(ends)) == 1
    assert ends[0] == script.last[0].seq + 8000


def test_a_retransmission_is_not_cut_by_the_interface() -> None:
    """Real interfaces copy the pointer into each piece, where it says something else."""
    script = Script(bare(gso=True))
    connection = script.connect()
    connection.send(bytes(8000))
    script.out()
    assert any(segment.gso_size for segment in script.last)
    connection.send_urgent(b"!")
    script.wait(SECOND)
    (again,) = script.last
    script.inject(".", 1, 1 + len(again.payload))
    assert len(script.last) == 2
    assert not any(segment.gso_size for segment in script.last)


@pytest.mark.requirement("RFC 9293", "MUST-30")
def test_both_ends() -> None:
    network = Network(loss=0.1, seed=3)
    client, server = network.connect()
    pump = Pump(network, server, b"")
    client.send(bytes(5000))
    client.send_urgent(b"now")
    client.send(bytes(5000))
    ends: list[int] = []

    def done() -> bool:
        if network.of(server, Urgent) and not ends:
            ends.append(len(pump.received) + server.urgent_left)
        pump.received += server.read(1 << 20)
        return len(pump.received) == 10_003

    network.run(done)
    assert ends == [5003]
    assert isinstance(server, TcpConnection)
