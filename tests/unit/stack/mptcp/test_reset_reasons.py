"""Why subflows are reset: MP_TCPRST (RFC 8684, section 3.6), sent and received."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.packet.address import Address
from testbed.packet.mptcp import (
    MpFastclose,
    MpJoinAck,
    MpJoinSyn,
    MpTcprst,
    RemoveAddr,
    ResetReason,
)
from testbed.packet.options import find
from testbed.packet.segment import ACK, FIN, RST, Segment
from testbed.stack.mptcp.path_manager.base import PathLimits

from .script import LOCAL_2, REMOTE_2


def reason(segments: list[Segment]) -> MpTcprst | None:
    """Return what the RST says that came last."""
    assert segments[-1].flags & RST
    found: MpTcprst | None = find(segments[-1].options, MpTcprst)
    return found


def joined(world: Any) -> Any:
    """Return a second subflow."""
    peer = world.subpeer(LOCAL_2, REMOTE_2)
    world.join(peer)
    return peer


@pytest.mark.requirement("RFC 8684", "3.6-MUST-1")
def test_codes_of_the_registry() -> None:
    """Section 7.5's table, and where the octets are."""
    assert [reason.value for reason in ResetReason] == list(range(7))
    option = MpTcprst(reason=ResetReason.MIDDLEBOX, transient=True)
    assert option.encode() == bytes.fromhex("1e048106")


@pytest.mark.requirement("RFC 8684", "3.2-SHOULD-2", "3.6-MAY-1", "3.6-MUST-1")
@pytest.mark.parametrize("token", ["unknown", "one too many"])
def test_refused_join(script: Any, token: str) -> None:
    """Section 3.2: an MPTCP-specific error, and a RST as from an unknown port."""
    world = script(limits=PathLimits(subflows=0))
    world.open()
    known = world.keys.remote_token
    second = world.subpeer(LOCAL_2, REMOTE_2)
    syn = MpJoinSyn(address_id=2, token=known ^ (token == "unknown"), nonce=1)
    assert reason(second.syn(syn)) == MpTcprst(reason=ResetReason.MPTCP)


def test_syn_to_a_closed_port_gets_no_reason(script: Any) -> None:
    """The SYN has no option of MPTCP."""
    assert reason(script().subpeer(Address(LOCAL_2.host, 7), REMOTE_2).syn()) is None


@pytest.mark.requirement("RFC 8684", "3.2-SHOULD-2")
@pytest.mark.parametrize("third", [(MpJoinAck(hmac=bytes(20)),), ()])
def test_join_without_proof(script: Any, third: Any) -> None:
    """Section 3.2."""
    world = script()
    world.open()
    second = world.subpeer(LOCAL_2, REMOTE_2)
    second.syn(MpJoinSyn(address_id=2, token=world.keys.remote_token, nonce=1))
    assert reason(second.send(ACK, *third)) == MpTcprst(reason=ResetReason.MPTCP)


@pytest.mark.requirement("RFC 8684", "3.3-SHOULD-1")
def test_mapping_without_the_checksum_agreed_on(script: Any) -> None:
    """Section 3.3: considered broken."""
    world = script()
    world.open(flags=0x81)
    answers = joined(world).send(ACK, world.data(0, 3, 1), payload=b"abc")
    assert reason(answers) == MpTcprst(reason=ResetReason.MPTCP)


@pytest.mark.requirement("RFC 8684", "3.6-MAY-1", "3.7-SHOULD-4")
def test_window_without_mappings(script: Any) -> None:
    """Section 3.3.1: something takes the mappings away."""
    world = script(receive_buffer=1000)
    world.open()
    answers = joined(world).send(ACK, world.ack(), payload=bytes(1000))
    assert reason(answers) == MpTcprst(reason=ResetReason.MIDDLEBOX)


def test_data_without_mapping_before_the_end(script: Any) -> None:
    """Section 3.3.1: none can come any more."""
    world = script()
    world.open()
    answers = joined(world).send(ACK | FIN, world.ack(), payload=b"abc")
    assert reason(answers) == MpTcprst(reason=ResetReason.MIDDLEBOX)


def test_subflow_of_a_withdrawn_address(script: Any) -> None:
    """Section 3.6: unspecified, which says that it is no longer available."""
    world = script()
    first = world.open()
    second = joined(world)
    first.send(ACK, world.ack(), RemoveAddr(address_ids=(2,)))
    world.wait(5)
    assert reason(second.take()) == MpTcprst(reason=ResetReason.UNSPECIFIED)


def test_fastclose_has_a_reason_beside_it(script: Any) -> None:
    """As in Linux; section 3.6 does not exclude it."""
    world = script()
    peer = world.open()
    world.connection.abort()
    world.pump()
    answers = peer.take()
    assert reason(answers) == MpTcprst(reason=ResetReason.UNSPECIFIED)
    assert find(answers[-1].options, MpFastclose) is not None


@pytest.mark.requirement("RFC 8684", "3.6-MAY-2")
def test_reason_of_the_peer_is_told(script: Any) -> None:
    """As the kernel's event has it: MPTCP_ATTR_RESET_REASON and MPTCP_ATTR_RESET_FLAGS."""
    world = script()
    world.open()
    second = joined(world)
    second.send(RST | ACK, MpTcprst(reason=5, transient=True))
    (closed,) = (fields for name, fields in world.tracer.events if name == "sub_closed")
    assert (closed["reset_reason"], closed["reset_flags"]) == (5, 1)


def test_reason_without_a_reset_means_nothing(script: Any) -> None:
    """MP_TCPRST belongs on a RST (section 3.6)."""
    world = script()
    world.open()
    second = joined(world)
    second.send(ACK, world.ack(), MpTcprst(reason=5))
    second.send(RST | ACK)
    (closed,) = (fields for name, fields in world.tracer.events if name == "sub_closed")
    assert "reset_reason" not in closed


def test_join_that_is_not_answered_to_the_end(script: Any) -> None:
    """Section 3.2: without the fourth ACK it is given up; it may be tried again."""
    world = script()
    peer, _ = world.accept()
    peer.send(ACK, world.ack())
    peer.send(ACK, world.announcement(2, REMOTE_2.host))
    join, syn = world.joining()
    join.syn_ack(world.join_answer(syn))
    world.wait(300)
    expected = MpTcprst(reason=ResetReason.UNSPECIFIED, transient=True)
    assert reason(join.take()) == expected


@pytest.mark.requirement("RFC 8684", "3.7-SHOULD-3")
def test_options_that_vanish_later(script: Any) -> None:
    """Section 3.7: what cannot fall back any more is reset; sent again, data would be new data."""
    world = script()
    peer = world.open()
    joined(world).send(RST | ACK)
    peer.send(ACK, world.ack())
    world.write(b"data")
    peer.take()
    peer.send(ACK)
    world.wait(5)
    assert reason(peer.take()) == MpTcprst(reason=ResetReason.MIDDLEBOX)


@pytest.mark.requirement("RFC 8684", "3.6-MUST-2")
def test_reserved_flags_change_nothing(script: Any) -> None:
    """Section 3.6: U, V and W."""
    world = script()
    world.open()
    second = joined(world)
    second.send(RST | ACK, MpTcprst(reason=5, flags=0x0E))
    (closed,) = (fields for name, fields in world.tracer.events if name == "sub_closed")
    assert closed["reset_reason"] == 5
    assert len(world.connection.subflows) == 1
    assert not world.connection.closed
