"""The invariants of an endpoint after every step, for any input."""

from __future__ import annotations

from typing import Any, Final

from testbed.stack.connection import Connection
from testbed.stack.mptcp.connection import MptcpConnection
from testbed.stack.mptcp.inbound import MOST_MESSAGES
from testbed.stack.mptcp.received_mappings import MOST_MAPPINGS
from testbed.stack.mptcp.state import DataState
from testbed.stack.tcp.connection import TcpConnection
from testbed.stack.tcp.state import HANDSHAKE
from tests.fuzz.finding import Finding

_SLACK: Final = 1 << 16  # octets that one segment may hold beyond a buffer's edge


class FaultFinder:
    """A tracer that remembers exceptions in the stack, which the stack itself contains."""

    def __init__(self) -> None:
        self._faults: list[str] = []

    def event(self, name: str, now: int, fields: dict[str, Any]) -> None:
        """Remember where the stack tells of a mistake of its own."""
        if name == "fault":
            self._faults.append(fields["error"])

    def check(self) -> None:
        """Raise a finding if there was one, perhaps in a connection no application has seen."""
        if self._faults:
            raise Finding(f"fault in the stack {self._faults[0]}")


def expect(holds: bool, what: str, *about: object) -> None:
    """Raise a finding where something does not hold."""
    if not holds:
        raise Finding(f"{what}: {' '.join(map(str, about))}")


def check(connection: Connection) -> None:
    """Check a connection, and its subflows."""
    failure = connection.failure
    if failure is not None and failure.cause is not None:
        raise failure.cause  # its kind is the place where it was raised
    if isinstance(connection, MptcpConnection):
        _mptcp(connection)
    elif isinstance(connection, TcpConnection):
        _tcp(connection)


def _tcp(tcp: TcpConnection) -> None:
    sender, receiver, config = tcp.sender, tcp.receiver, tcp.config
    expect(tcp.unsent <= config.send_buffer, "TCP keeps more than its send buffer", tcp.unsent)
    opening = tcp.state in HANDSHAKE or tcp.closed
    expect(tcp.cwnd > 0 or opening, "the congestion window is not positive", tcp.cwnd)
    expect(-1 <= sender.una <= sender.next, "SND.UNA is beyond SND.NXT", sender.una, sender.next)
    board = sender.board
    counted = board.in_flight + board.lost + board.sacked
    expect(min(board.in_flight, board.lost, board.sacked) >= 0, "a count of segments is negative")
    if not opening:
        outstanding = sender.next - sender.una
        expect(counted == outstanding, "the scoreboard miscounts", counted, outstanding)
    readable = tcp.readable
    expect(readable <= config.receive_buffer + _SLACK, "TCP holds too much unread", readable)
    expect(
        receiver.buffer.out_of_order <= config.receive_buffer + _SLACK,
        "TCP holds too much out of order",
        receiver.buffer.out_of_order,
    )


def _mptcp(connection: MptcpConnection) -> None:
    out, into, config = connection.outgoing, connection.incoming, connection.config
    expect(0 <= out.una <= out.next <= out.end + 1, "positions of our data are out of order",
           out.una, out.next, out.end)  # fmt: skip
    expect(out.end - out.una <= config.send_buffer, "more is kept than the send buffer")
    expect(into.readable <= config.receive_buffer + _SLACK, "too much is unread", into.readable)
    expect(into.out_of_order <= config.receive_buffer + _SLACK, "too much is out of order")
    numbers = [one.number for one in connection.subflows]
    expect(len(set(numbers)) == len(numbers), "two subflows have one number", numbers)
    # One that this side has closed may still wait for the peer's FIN.
    opened = [one for one in connection.subflows if one.initiated and not one.phase.left]
    pairs = [(one.path.local_host, one.path.remote) for one in opened]
    expect(len(set(pairs)) == len(pairs), "a pair of addresses is opened twice", pairs)
    if connection.fallback and connection.state is not DataState.CLOSED:
        up = [one for one in connection.subflows if not one.tcp.closed]
        expect(len(up) <= 1, "plain TCP has several subflows", len(up))
    for subflow in connection.subflows:
        _tcp(subflow.tcp)
        inbound = subflow.inbound
        expect(len(inbound.messages) <= MOST_MESSAGES, "too many options wait")
        expect(len(inbound.mappings) <= MOST_MAPPINGS, "too many mappings are kept")
