"""Answers to MP_CAPABLE and MP_JOIN made by hand, rule by rule of RFC 8684."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.packet.address import Address
from testbed.packet.mptcp import (
    AddAddr,
    Dss,
    MpCapable,
    MpJoinAck,
    MpJoinSyn,
    MpJoinSynAck,
    MptcpOption,
)
from testbed.packet.options import find
from testbed.packet.segment import ACK, FIN, RST, SYN, Segment
from testbed.stack.connection import Connected
from testbed.stack.mptcp import crypto
from testbed.stack.mptcp.beginning import Beginning
from testbed.stack.mptcp.path_manager.base import PathEndpoint, PathLimits
from testbed.stack.tcp.connection import TcpConnection

from .script import LOCAL, LOCAL_2, PEER_KEY, REMOTE, REMOTE_2, all_dss

# Section 3.1: MP_CAPABLE.


@pytest.mark.requirement("RFC 8684", "3.1-MUST-1")
def test_version_1_is_answered_to_a_higher_one(script: Any) -> None:
    """Section 3.1: the highest version that is spoken."""
    (answer,) = script().subpeer().syn(MpCapable(version=7))
    assert find(answer.options, MpCapable).version == 1


@pytest.mark.requirement("RFC 8684", "3.1-MUST-1", "3.1-MUST-8", "3.1-MUST-11", "3.1-MUST-19")
@pytest.mark.parametrize(
    "option",
    [MpCapable(version=0), MpCapable(flags=0x41), MpCapable(flags=0xC1), MpCapable(flags=0x00)],
)
def test_syn_that_cannot_be_used_gets_plain_tcp(script: Any, option: MpCapable) -> None:
    """Section 3.1: version 0, the B flag, no H flag."""
    (answer,) = script().subpeer().syn(option)
    assert answer.flags == SYN | ACK
    assert find(answer.options, MpCapable) is None


@pytest.mark.parametrize("join_first", [True, False])
@pytest.mark.parametrize("known", [True, False])
def test_syn_of_a_new_connection_and_of_a_join_gets_plain_tcp(
    script: Any, known: bool, join_first: bool
) -> None:
    """RFC 8684 defines no such SYN. Linux answers without options (subflow_check_req)."""
    world = script()
    world.open()
    token = world.keys.remote_token ^ (not known)
    options = [MpCapable(), MpJoinSyn(address_id=2, token=token, nonce=1)]
    (answer,) = world.subpeer(LOCAL, REMOTE_2).syn(*options[:: -1 if join_first else 1])
    assert answer.flags == SYN | ACK
    assert find(answer.options, MptcpOption) is None


def test_syn_with_an_unusable_capable_beside_a_join_is_a_join(script: Any) -> None:
    """Linux does not see an MP_CAPABLE that it cannot use (mptcp_parse_option)."""
    world = script()
    world.open()
    join = MpJoinSyn(address_id=2, token=world.keys.remote_token, nonce=1)
    (answer,) = world.subpeer(LOCAL, REMOTE_2).syn(MpCapable(flags=0), join)
    assert find(answer.options, MpJoinSynAck) is not None


@pytest.mark.requirement("RFC 8684", "3.1-MUST-7", "3.1-MUST-9")
def test_unknown_flags_of_a_syn_mean_nothing(script: Any) -> None:
    """Section 3.1: D to G are not echoed either."""
    (answer,) = script().subpeer().syn(MpCapable(flags=0x1F))
    assert find(answer.options, MpCapable).flags == 0x01


@pytest.mark.requirement("RFC 8684", "3.3.2-MUST-1")
def test_capable_with_data_is_a_mapping(script: Any) -> None:
    """Section 3.1: its 22 octets are no DSS; it maps the first data, and comes until acknowledged.

    The Data ACK of it is in 8 octets.
    """
    world = script()
    peer = world.subpeer()
    (answer,) = peer.syn(MpCapable())
    key = find(answer.options, MpCapable).sender_key
    world.keys.learn(key)
    option = MpCapable(sender_key=0x0102030405060708, receiver_key=key, data_length=5)
    assert len(option.encode()) == 22
    for _ in range(2):  # again: its acknowledgment may have been lost
        *_, last = peer.send(ACK, option, payload=b"hello", seq=1)
        (dss,) = all_dss([last])
        assert dss.data_ack == world.keys.outgoing.number(5)
        assert dss.wide_ack
    assert world.connection.read(100) == b"hello"


def test_data_of_a_syn_is_taken_from_the_third_ack(script: Any) -> None:
    """Appendix B: without TCP Fast Open no mapping covers data of the SYN; no ACK may either."""
    world = script()
    peer = world.subpeer()
    peer.seq = 0
    (answer,) = peer.send(SYN, MpCapable(), payload=b"hello")
    assert answer.ack == (peer.isn + 1) & 0xFFFFFFFF
    peer.seq = 1
    key = find(answer.options, MpCapable).sender_key
    first = MpCapable(sender_key=PEER_KEY, receiver_key=key, data_length=5)
    peer.send(ACK, first, payload=b"hello")
    assert world.connection.read(100) == b"hello"


def test_data_of_a_join_syn_is_not_acknowledged(script: Any) -> None:
    """Section 3.2: no data goes on a subflow before the fourth ACK."""
    world = script()
    world.open()
    second = world.subpeer(LOCAL_2, REMOTE_2)
    second.seq = 0
    syn = MpJoinSyn(address_id=2, token=world.keys.remote_token, nonce=1)
    (answer,) = second.send(SYN | FIN, syn, payload=b"early")
    assert answer.ack == (second.isn + 1) & 0xFFFFFFFF


def test_data_of_a_plain_syn_is_kept(script: Any) -> None:
    """RFC 9293, section 3.10.7.2."""
    world = script()
    peer = world.subpeer()
    peer.seq = 0
    (answer,) = peer.send(SYN, payload=b"hello")
    assert answer.ack == (peer.isn + 6) & 0xFFFFFFFF


@pytest.mark.requirement("RFC 8684", "3.1-MUST-21", "3.1-SHOULD-5")
def test_fallback_when_the_third_ack_has_no_option(script: Any) -> None:
    """Section 3.7: options vanish in the handshake."""
    world = script()
    peer = world.subpeer()
    peer.syn(MpCapable())
    answers = peer.send(ACK, payload=b"plain")
    assert world.connection.fallback
    assert world.connection.read(100) == b"plain"
    world.write(b"too")
    answers += peer.take()
    assert all_dss(answers) == []
    assert [one.payload for one in answers if one.payload] == [b"too"]


@pytest.mark.requirement("RFC 8684", "3.1-MUST-6")
@pytest.mark.parametrize("changes", [{"version": 0}, {"flags": 0x41}, {"flags": 0}])
def test_fallback_when_the_third_ack_cannot_be_used(script: Any, changes: Any) -> None:
    """Section 3.1: with B set, without an algorithm or in another version it must be ignored."""
    world = script()
    peer = world.subpeer()
    (answer,) = peer.syn(MpCapable())
    key = find(answer.options, MpCapable).sender_key
    peer.send(ACK, MpCapable(sender_key=PEER_KEY, receiver_key=key, **changes))
    assert world.connection.fallback


def test_fallback_when_the_first_data_has_no_option(script: Any) -> None:
    """Section 3.7: options vanish on data, before the first Data ACK."""
    world = script()
    peer = world.open()
    assert not world.connection.fallback
    peer.send(ACK, payload=b"plain")
    assert world.connection.fallback
    assert world.connection.read(100) == b"plain"
    peer.send(FIN | ACK)
    assert world.connection.at_eof
    world.connection.send(b"bye")
    world.connection.shutdown()
    world.pump()
    assert any(one.flags & FIN for one in peer.take())
    peer.send(ACK)
    assert world.connection.closed
    assert world.connection.failure is None


def test_third_ack_overtaken_by_data(script: Any) -> None:
    """Section 3.1: data with DSS before the keys are there is dropped, and comes again."""
    world = script()
    peer = world.subpeer()
    (answer,) = peer.syn(MpCapable())
    key = find(answer.options, MpCapable).sender_key
    world.keys.learn(key)
    peer.send(ACK, world.data(5, 5, 6), payload=b"world", seq=6)
    assert world.connections == []
    peer.send(ACK, MpCapable(sender_key=0x0102030405060708, receiver_key=key))
    first = MpCapable(sender_key=0x0102030405060708, receiver_key=key, data_length=5)
    peer.send(ACK, first, payload=b"hello", seq=1)
    peer.send(ACK, world.data(5, 5, 6), payload=b"world", seq=6)
    assert not world.connection.fallback
    assert world.connection.read(100) == b"helloworld"


# Section 3.2: MP_JOIN.


@pytest.mark.requirement("RFC 8684", "3.2-SHOULD-1", "3.2-MUST-3", "3.2-MUST-11")
def test_join_is_found_by_its_token(script: Any) -> None:
    """Section 3.2: a join to any address and port, if the path manager accepts it."""
    world = script(path_manager="fullmesh")
    world.open()
    second = world.subpeer(Address("10.0.2.1", 5555), REMOTE_2)
    (fourth,) = world.join(second)
    assert find(fourth.options, Dss) is not None
    assert world.tracer.count("sub_established") == 1


@pytest.mark.requirement("RFC 8684", "3.2-MUST-6")
def test_join_with_an_unknown_token_is_reset(script: Any) -> None:
    """Section 3.2."""
    world = script()
    world.open()
    second = world.subpeer(LOCAL_2, REMOTE_2)
    (answer,) = second.syn(MpJoinSyn(address_id=2, token=12345, nonce=1))
    assert answer.flags & RST


@pytest.mark.requirement("RFC 8684", "3.2-MUST-8", "3.9.3-MUST-1")
@pytest.mark.parametrize("third", [(MpJoinAck(hmac=bytes(20)),), ()])
def test_third_ack_without_proof_is_reset(script: Any, third: Any) -> None:
    """Section 3.2: a wrong HMAC, or no MP_JOIN."""
    world = script()
    world.open()
    second = world.subpeer(LOCAL_2, REMOTE_2)
    syn = MpJoinSyn(address_id=2, token=world.keys.remote_token, nonce=1)
    (answer,) = second.syn(syn)
    assert isinstance(find(answer.options, MpJoinSynAck), MpJoinSynAck)
    (answer,) = second.send(ACK, *third)
    assert answer.flags & RST
    assert world.tracer.count("sub_established") == 0
    assert not world.connection.closed


@pytest.mark.requirement("RFC 8684", "3.2-MUST-3")
def test_fourth_ack_is_sent_again(script: Any) -> None:
    """Section 3.2: a third ACK that comes again asks for it."""
    world = script()
    world.open()
    second = world.joined()
    local, remote = world.keys.pair()
    proof = crypto.join_hmac(local, remote, 77, 0)[:20]
    (again,) = second.send(ACK, MpJoinAck(hmac=proof))
    assert again.flags == ACK


@pytest.mark.requirement("RFC 8684", "3.2-MUST-6")
def test_limit_of_subflows_refuses_joins(script: Any) -> None:
    """ip-mptcp(8): the limit of subflows."""
    world = script(limits=PathLimits(subflows=1))
    world.open()
    world.join(world.subpeer(LOCAL_2, REMOTE_2))
    third = world.subpeer(LOCAL_2, Address("10.0.3.2", 4002))
    syn = MpJoinSyn(address_id=3, token=world.keys.remote_token, nonce=1)
    (answer,) = third.syn(syn)
    assert answer.flags & RST


def test_join_to_a_port_that_nobody_has_opened(script: Any) -> None:
    """As in the kernel, its port is closed."""
    world = script()
    world.open()
    second = world.subpeer(Address("10.0.2.1", 5555), REMOTE_2)
    (answer,) = second.syn(MpJoinSyn(address_id=2, token=world.keys.remote_token, nonce=1))
    assert answer.flags & RST
    assert not answer.options


@pytest.mark.parametrize("backup", [False, True])
def test_answer_to_a_join_says_whether_it_is_a_backup(script: Any, backup: bool) -> None:
    endpoint = PathEndpoint(host=LOCAL_2.host, id=6, signal=True, backup=backup)
    world = script(endpoints=(endpoint,))
    world.open()
    second = world.subpeer(LOCAL_2, REMOTE_2)
    (answer,) = second.syn(MpJoinSyn(address_id=2, token=world.keys.remote_token, nonce=1))
    option = find(answer.options, MpJoinSynAck)
    assert (option.backup, option.address_id) == (backup, 6)


@pytest.mark.requirement("RFC 8684", "3.1-MUST-NOT-1")
def test_no_join_before_a_dss_has_come(script: Any) -> None:
    """Section 3.1, at the side that got the SYN."""
    world = script(endpoints=(PathEndpoint(host=LOCAL_2.host, id=6, subflow=True),))
    peer = world.open()
    assert not [one for one in world.out if find(one.options, MpJoinSyn)]
    peer.send(ACK, world.ack())
    assert [one for one in world.out if find(one.options, MpJoinSyn)]


@pytest.mark.requirement("RFC 8684", "3.1-MUST-NOT-1")
def test_address_before_a_dss_is_echoed_and_not_joined_yet(script: Any) -> None:
    """Sections 3.1 and 3.4.1: the echo leaves at once, a join waits for a DSS."""
    world = script()
    peer, _ = world.accept()
    answers = peer.send(ACK, world.announcement(3, "10.0.2.2"))
    (echo,) = [option for one in answers if (option := find(one.options, AddAddr))]
    assert (echo.address_id, echo.hmac) == (3, None)
    assert not [one for one in world.out if find(one.options, MpJoinSyn)]
    peer.send(ACK, world.ack())
    (join,) = [one for one in world.out if find(one.options, MpJoinSyn)]
    assert join.destination.host == "10.0.2.2"


@pytest.mark.requirement("RFC 8684", "3.1-MUST-NOT-3", "3.7-SHOULD-1", "6-SHOULD-1")
def test_syn_without_the_option_is_answered_without(script: Any) -> None:
    """Section 3.1: the connection is plain TCP if any middlebox removes options."""
    world = script()
    peer = world.subpeer()
    (answer,) = peer.syn()
    assert not any(isinstance(each, MptcpOption) for each in answer.options)
    peer.send(ACK)
    peer.send(ACK, payload=b"plain")
    (connection,) = world.connections
    assert isinstance(connection, TcpConnection)
    assert connection.read(100) == b"plain"


@pytest.mark.interpreted
def test_fault_before_the_program_hears_of_a_connection_frees_its_place(
    script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TCP has put it into the accept queue, and MPTCP never tells that it is there."""
    world = script()
    world.endpoint.listen(LOCAL, accept_queue=0)

    def fault(*_arguments: Any) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(Beginning, "establish_once", fault)
        world.open()
    assert not world.connections
    assert world.endpoint.connections == 0
    assert world.subpeer(LOCAL, REMOTE_2).syn(MpCapable())


def test_handshake_that_never_ends_is_no_event(script: Any) -> None:
    """An external path manager gets the end event only of a connection that was created."""
    world = script()
    world.subpeer().syn(MpCapable())
    world.wait(200)
    world.dial()
    world.wait(400)
    assert world.endpoint.connections == 0
    assert world.tracer.events == []


def test_connection_whose_subflow_ends_as_soon_as_it_begins_is_told_of(script: Any) -> None:
    """A program must get the event, as the connection has a place in the accept queue."""
    world = script()
    world.endpoint.listen(LOCAL, accept_queue=0)
    peer = world.subpeer()
    (answer,) = peer.syn(MpCapable())
    key = find(answer.options, MpCapable).sender_key
    world.keys.learn(key)
    # Both are there before the endpoint has its turn.
    for option, payload in (
        (MpCapable(sender_key=PEER_KEY, receiver_key=key), b""),
        (world.data(0, 5, 1, checksum=7), b"hello"),  # a checksum that was not negotiated
    ):
        third = Segment(
            source=REMOTE,
            destination=LOCAL,
            seq=peer.isn + 1,
            ack=answer.seq + 1,
            flags=ACK,
            window=9999,
            options=(option,),
            payload=payload,
        )
        world.endpoint.receive(third, world.now)
    world.pump()
    assert world.events == [Connected()]
    assert not world.connection.subflows
    world.endpoint.accepted(world.connection)
    assert world.subpeer(LOCAL, REMOTE_2).syn(MpCapable())
