"""TCP Fast Open with MPTCP: RFC 8684, appendix B, by hand and over paths that lose."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.packet.address import Address, Flow
from testbed.packet.mptcp import Dss, MpCapable, MpJoinSyn, MpJoinSynAck
from testbed.packet.options import (
    FastOpen,
    MaximumSegmentSize,
    Timestamps,
    WindowScale,
    find,
)
from testbed.packet.segment import ACK, FIN, RST, SYN, Segment
from testbed.stack.connection import Closed, Connected, Readable
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.fast_open import Grants

from .script import LOCAL, LOCAL_2, PEER_KEY, REMOTE, REMOTE_2, S, Script, all_dss

COOKIE = FastOpen(b"8 octets")
QUESTION = b"a question"
ANY = Address("0.0.0.0", 80)
FAST = {"fast_open": True}


# The server's side.


def _asked(script: Any, **options: Any) -> tuple[Script, Any, Segment]:
    """Return a server that has got a question with a SYN, the peer, and its answer."""
    world = script(tcp=FAST, **options)
    peer = world.subpeer()
    peer.seq = 0
    cookie = Grants(b"sixteen octets..").grant(Flow(LOCAL, REMOTE))
    mss = MaximumSegmentSize(1460)
    (answer,) = peer.send(SYN, mss, MpCapable(), cookie, payload=QUESTION)
    world.keys.learn(find(answer.options, MpCapable).sender_key)
    peer.seq = 1 + len(QUESTION)
    return world, peer, answer


def _third(world: Script, peer: Any, **more: Any) -> list[Segment]:
    """Send the third ACK."""
    keys = MpCapable(sender_key=PEER_KEY, receiver_key=world.keys.remote, **more)
    out: list[Segment] = peer.send(ACK, keys)
    return out


def test_data_of_the_syn_is_before_the_data_stream(script: Any) -> None:
    """Appendix B.2: the first octet after it has subflow sequence number 1, and IDSN + 1."""
    world, peer, answer = _asked(script)
    assert (answer.ack - peer.isn) & 0xFFFFFFFF == 1 + len(QUESTION)
    assert [type(event) for event in world.events] == [Connected, Readable]
    assert world.connection.read(100) == QUESTION
    _third(world, peer)
    *_, last = peer.send(ACK, world.data(0, 5, 1), payload=b"hello")
    assert world.connection.read(100) == b"hello"
    assert all_dss([last])[0].data_ack == world.keys.outgoing.number(5)
    assert not world.connection.fallback


def test_cookie_without_data_leaves_the_data_stream_as_it_is(script: Any) -> None:
    """As in Linux, the connection begins early; the first octets follow the third ACK."""
    world = script(tcp=FAST)
    peer = world.subpeer()
    peer.seq = 0
    cookie = Grants(b"sixteen octets..").grant(Flow(LOCAL, REMOTE))
    (answer,) = peer.send(SYN, MaximumSegmentSize(1460), MpCapable(), cookie)
    world.keys.learn(find(answer.options, MpCapable).sender_key)
    peer.seq = 1
    assert [type(event) for event in world.events] == [Connected]
    world.write(b"welcome")
    sent = _third(world, peer)
    assert [one.payload for one in sent if one.payload] == [b"welcome"]
    peer.send(ACK, world.data(0, 5, 1), payload=b"hello")
    assert world.connection.read(100) == b"hello"
    assert not world.connection.fallback


def test_connection_that_begins_early_is_told_of_as_others_are(script: Any) -> None:
    """The event ``created`` and a counter report it after the answer of the peer."""
    world, peer, _ = _asked(script)
    assert world.tracer.events == []
    _third(world, peer)
    peer.send(ACK, world.data(0, 5, 1), payload=b"hello")
    assert [name for name, _ in world.tracer.events] == ["created", "established"]
    assert world.endpoint.counters["MPTcpExtMPCapableACKRX"] == 1


def test_data_of_a_syn_gets_in_where_no_cookie_is_needed(script: Any) -> None:
    world = script(tcp={"fast_open": True, "fast_open_cookies": False})
    peer = world.subpeer()
    peer.seq = 0
    (answer,) = peer.send(SYN, MaximumSegmentSize(1460), MpCapable(), payload=QUESTION)
    assert (answer.ack - peer.isn) & 0xFFFFFFFF == 1 + len(QUESTION)
    assert world.connection.read(100) == QUESTION


def test_data_with_the_keys_comes_after_that_of_the_syn(script: Any) -> None:
    """Section 3.1: a third ACK with data, of which Linux sends such."""
    world, peer, _ = _asked(script)
    keys = MpCapable(sender_key=PEER_KEY, receiver_key=world.keys.remote, data_length=5)
    peer.send(ACK, keys, payload=b"hello")
    assert world.connection.read(100) == QUESTION + b"hello"
    assert not world.connection.fallback


def test_answer_waits_for_the_third_ack(script: Any) -> None:
    """As in Linux."""
    world, peer, _ = _asked(script)
    world.write(b"answer")
    assert peer.take() == []
    sent = _third(world, peer)
    assert [one.payload for one in sent if one.payload] == [b"answer"]
    dss = find(next(one for one in sent if one.payload).options, Dss)
    assert (dss.dsn, dss.subflow_seq) == (world.keys.incoming.number(0), 1)


def test_answer_may_leave_early(script: Any) -> None:
    """Figure 19; without the peer's key there is no Data ACK."""
    world, peer, _ = _asked(script, early_answer=True)
    world.write(b"answer")
    (sent,) = peer.take()
    dss = find(sent.options, Dss)
    assert (dss.dsn, dss.subflow_seq, dss.length) == (world.keys.incoming.number(0), 1, 6)
    assert dss.data_ack is None
    assert all_dss(_third(world, peer))[0].data_ack == world.keys.outgoing.number(0)
    peer.send(ACK, world.ack(6))
    assert world.connection.unsent == 0


def test_checksums_begin_after_the_data_of_the_syn(script: Any) -> None:
    """Appendix B.2: all that is in the data sequence space has one."""
    world, peer, _ = _asked(script, checksum=True)
    _third(world, peer)
    peer.send(ACK, world.summed(0, b"hello", 1), payload=b"hello")
    assert world.connection.read(100) == QUESTION + b"hello"


@pytest.mark.parametrize("early_answer", [False, True])
def test_fallback_after_data_of_the_syn(script: Any, early_answer: bool) -> None:
    """Section 3.7: options vanish from the third ACK on, and all that was said counts."""
    world, peer, _ = _asked(script, early_answer=early_answer)
    world.write(b"answer")
    peer.take()
    peer.send(ACK, payload=b"plain", ack=1)
    assert world.connection.fallback
    assert world.connection.read(100) == QUESTION + b"plain"
    world.wait(2)
    peer.take()
    peer.send(ACK)
    assert world.connection.unsent == 0
    peer.send(ACK | FIN)
    assert world.connection.at_eof


def test_cookie_takes_the_place_of_timestamps(script: Any) -> None:
    """Appendix B.1: with MP_CAPABLE both do not fit; Linux leaves the same out."""
    world = script(tcp={"timestamps": True, "window_scaling": True, **FAST})
    peer = world.subpeer()
    (answer,) = peer.syn(Timestamps(7, 0), WindowScale(7), MpCapable(), FastOpen())
    assert find(answer.options, FastOpen).cookie
    assert find(answer.options, MpCapable).sender_key is not None
    assert find(answer.options, Timestamps) is None
    assert find(answer.options, WindowScale) is not None


def test_reset_ends_a_connection_that_was_open_early(script: Any) -> None:
    """Without the peer's key, no join can revive the connection."""
    world, peer, _ = _asked(script)
    peer.send(RST)
    assert isinstance(world.events[-1], Closed)
    assert world.connection.failure is not None
    assert world.endpoint.connections == 0


def test_connection_that_is_closed_early_says_so_later(script: Any) -> None:
    world, peer, _ = _asked(script)
    world.connection.read(100)
    world.connection.shutdown()
    world.pump()
    assert peer.take() == []
    assert any(dss.data_fin for dss in all_dss(_third(world, peer)))


def test_join_brings_no_data(script: Any) -> None:
    """Section 3.2: none goes on a subflow before the fourth ACK, cookie or not."""
    world = script(tcp=FAST)
    world.open()
    second = world.subpeer(LOCAL_2, REMOTE_2)
    second.seq = 0
    cookie = Grants(b"sixteen octets..").grant(Flow(LOCAL_2, REMOTE_2))
    syn = MpJoinSyn(address_id=2, token=world.keys.remote_token, nonce=1)
    (answer,) = second.send(SYN, syn, cookie, payload=b"early")
    assert isinstance(find(answer.options, MpJoinSynAck), MpJoinSynAck)
    assert answer.ack == (second.isn + 1) & 0xFFFFFFFF


# The client's side.


def _known(script: Any, **options: Any) -> Script:
    """Return a client with a cookie of the server."""
    world: Script = script(tcp=FAST, **options)
    peer = world.dial(QUESTION, port=3999)
    (syn,) = world.out
    assert find(syn.options, FastOpen) == FastOpen()
    assert syn.payload == b""
    peer.syn_ack(MpCapable(sender_key=PEER_KEY + 1), COOKIE)
    world.connections.pop().abort()
    world.pump()
    world.out.clear()
    world.events.clear()
    return world


def _answered(world: Script, acked: int, *options: Any) -> tuple[Any, list[Segment]]:
    """Connect with a question; let the SYN,ACK acknowledge so many octets of it."""
    peer = world.dial(QUESTION)
    (syn,) = peer.take()
    assert syn.payload == QUESTION
    assert find(syn.options, MpCapable) == MpCapable()
    assert find(syn.options, FastOpen) == COOKIE
    peer.seq, peer.ack = 0, 1 + acked
    options = options or (MpCapable(sender_key=PEER_KEY),)
    out = peer.send(SYN | ACK, MaximumSegmentSize(1460), *options)
    peer.seq = 1
    third = find(out[0].options, MpCapable)
    if third is not None:
        world.keys.learn(third.sender_key)
    return peer, out


def test_syn_brings_no_more_than_may_be_written(script: Any) -> None:
    """TCP_NOTSENT_LOWAT limits data of a SYN as it limits ``send``."""
    world = script(tcp={"fast_open": True, "fast_open_cookies": False, "notsent_lowat": 100})
    peer = world.dial(bytes(1000))
    (syn,) = peer.take()
    assert len(syn.payload) == 100
    peer.seq = 0
    peer.send(SYN | ACK, MaximumSegmentSize(1460), MpCapable(sender_key=PEER_KEY), ack=101)
    assert world.connection.unsent == 0
    assert not world.connection.fallback


def test_data_that_went_with_the_syn_is_in_no_mapping(script: Any) -> None:
    """Figure 19: what follows has subflow sequence number 1, though TCP's is more."""
    world = _known(script)
    peer, (third,) = _answered(world, len(QUESTION))
    assert find(third.options, MpCapable).receiver_key == PEER_KEY
    assert world.connection.unsent == 0
    peer.send(ACK, world.ack())
    world.write(b"more")
    (sent,) = peer.take()
    dss = find(sent.options, Dss)
    assert (dss.dsn, dss.subflow_seq) == (world.keys.incoming.number(0), 1)
    assert peer.relative(sent) == 1 + len(QUESTION)
    peer.send(ACK, world.ack(4))
    assert world.connection.unsent == 0


@pytest.mark.parametrize("acked", [0, 4])
def test_data_that_the_server_does_not_take_is_sent_with_a_mapping(script: Any, acked: int) -> None:
    """Figures 20 and 21: all of it, or what is missing; it begins the data stream."""
    world = _known(script)
    peer, out = _answered(world, acked)
    (sent,) = [one for one in out + peer.take() if one.payload]
    assert sent.payload == QUESTION[acked:]
    assert peer.relative(sent) == 1 + acked
    assert find(sent.options, MpCapable).data_length == len(QUESTION) - acked
    peer.send(ACK, world.ack(len(QUESTION) - acked))
    assert world.connection.unsent == 0


def test_what_the_application_writes_meanwhile_follows(script: Any) -> None:
    world = _known(script)
    world.dial(QUESTION)
    world.write(b" and more")
    world.write(bytes(20_000))
    (syn,) = world.out
    assert syn.payload == QUESTION
    peer = world.subpeer(syn.source, syn.destination)
    peer.take()
    peer.seq, peer.ack = 0, 1 + 4
    out = peer.send(SYN | ACK, MaximumSegmentSize(1460), MpCapable(sender_key=PEER_KEY))
    sent = b"".join(one.payload for one in out)
    assert sent.startswith(QUESTION[4:] + b" and more" + bytes(1000))


@pytest.mark.parametrize("acked", [0, len(QUESTION)])
def test_server_without_mptcp_takes_it(script: Any, acked: int) -> None:
    """Section 3.7: plain TCP, with or without TCP Fast Open."""
    world = _known(script)
    peer, out = _answered(world, acked, COOKIE)
    out += peer.take()
    assert b"".join(one.payload for one in out) == QUESTION[acked:]
    assert world.connection.fallback
    peer.send(ACK)
    assert world.connection.unsent == 0
    world.write(b"more")
    (sent,) = peer.take()
    assert peer.relative(sent) == 1 + len(QUESTION)


def test_lost_syn_leaves_again_with_mp_capable_alone(script: Any) -> None:
    """RFC 7413, section 4.2.1."""
    world = _known(script)
    peer = world.dial(QUESTION)
    peer.take()
    world.wait(1)
    (again,) = peer.take()
    assert again.payload == b""
    assert find(again.options, FastOpen) is None
    assert find(again.options, MpCapable) == MpCapable()


def test_early_answer_is_taken(script: Any) -> None:
    """Figure 19: a mapping without Data ACK proves nothing, so the keys are repeated."""
    world = _known(script)
    peer, _ = _answered(world, len(QUESTION))
    early = Dss(dsn=world.keys.outgoing.number(0), subflow_seq=1, length=6)
    (ack,) = peer.send(ACK, early, payload=b"answer")
    assert world.connection.read(100) == b"answer"
    assert find(ack.options, MpCapable).receiver_key == PEER_KEY
    assert not world.connection.fallback
    (ack,) = peer.send(ACK, world.ack())
    assert all_dss([ack])[0].data_ack == world.keys.outgoing.number(6)


def test_long_cookie_has_no_room_beside_mptcp(script: Any) -> None:
    """Appendix B.1: MPTCP is worth more than TCP Fast Open."""
    world = script(tcp={"timestamps": True, "window_scaling": True, **FAST})
    peer = world.dial(QUESTION, port=3999)
    world.out.clear()
    peer.seq, peer.ack = 0, 1
    world.endpoint.tcp._servers.answered(peer.flow, FastOpen(bytes(16)), 1460)
    again = world.dial(QUESTION)
    (syn,) = again.take()
    assert find(syn.options, MpCapable) == MpCapable()
    assert find(syn.options, FastOpen) is None
    assert syn.payload == b""


# Both, over paths.


def _fast(network: Any, paths: int = 1, **options: Any) -> Any:
    net = network(paths, tcp=TcpConfig(fast_open=True), **options)
    net.server.endpoint.listen(ANY)
    return net


def _ask(net: Any, question: bytes, answer: bytes, seconds: float) -> Any:
    """Ask on a new connection; return it, and what both ends have received."""
    known = len(net.server.connections)
    connection = net.connect(data=question)
    end = net.now + int(seconds * S)
    net.run(seconds, until=lambda: len(net.server.connections) > known)
    (accepted,) = net.server.connections[known:]
    net.server.send(accepted, answer)
    net.client.send(connection, b"")
    net.run((end - net.now) / S)
    received = [
        bytes(host.received.get(one, b""))
        for host, one in ((net.client, connection), (net.server, accepted))
    ]
    return connection, *received


@pytest.mark.parametrize("early_answer", [False, True])
def test_question_and_answer(network: Any, early_answer: bool) -> None:
    """10 ms each way: the early answer takes a round trip, beside 10 ms of the application.

    The other one waits for the third ACK, which comes after 30 ms.
    """
    net = _fast(network, early_answer=early_answer)
    _ask(net, b"question", b"answer", 5)
    began = len(net.sent)
    connection, answer, question = _ask(net, b"question", b"answer", 0.035)
    assert question == b"question"
    assert answer == (b"answer" if early_answer else b"")
    net.run(5)
    assert net.client.failure(connection) == ""
    assert not connection.fallback
    assert net.sent[began].payload == b"question"


@pytest.mark.parametrize("early_answer", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_everything_arrives_over_paths_that_lose(
    network: Any, seed: int, early_answer: bool
) -> None:
    """Paths lose a fifth of packets, also of the handshake; MPTCP goes on with further subflows."""
    net = _fast(network, 2, seed=seed, early_answer=early_answer)
    question, answer = bytes(range(256)) * 20, bytes(reversed(range(256))) * 100
    for loss in (0.0, 0.2, 0.2):
        for path in net.paths.values():
            path.loss = loss
        connection, answered, asked = _ask(net, question, answer, 400)
        assert asked == question
        assert answered == answer
        assert not connection.fallback
        assert net.client.failure(connection) == ""
