"""Address signals: ADD_ADDR and REMOVE_ADDR (RFC 8684, section 3.4).

An option is an unreliable signal: it travels on an ACK, which TCP does not retransmit. So ADD_ADDR
is state of the connection and is retransmitted until its echo arrives, and REMOVE_ADDR is sent on
each remaining subflow. As in Linux, an address waits for the echo of the one before: Linux drops an
ADD_ADDR that arrives before its path manager, in a work queue, has processed the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from testbed.packet.mptcp import AddAddr, RemoveAddr
from testbed.packet.options import Option
from testbed.stack.mptcp import crypto
from testbed.stack.mptcp.keys import Keys
from testbed.stack.mptcp.subflow import Subflow

_MOST_IDS: Final = 8  # limit of ids in one REMOVE_ADDR, as in Linux
_MOST_ECHOES: Final = 32  # limit of echoes that wait for an ACK; the peer repeats others
_MAX_INTERVAL_NS: Final = 120 * 10**9
_MOST_DOUBLINGS: Final = 20


class _Pending:
    """An ADD_ADDR without echo."""

    __slots__ = ("due_ns", "option", "sent")

    def __init__(self, option: AddAddr, due_ns: int) -> None:
        self.option = option
        self.due_ns = due_ns
        self.sent = 0

    def leave(self, now: int, interval_ns: int) -> None:
        """Record a transmission, and set the time of the next one.

        :param interval_ns: after which the first one is repeated.
        """
        self.due_ns = now + min(interval_ns << min(self.sent, _MOST_DOUBLINGS), _MAX_INTERVAL_NS)
        self.sent += 1


class Signals:
    """The address signals that the peer has not confirmed.

    :param most_ns: the longest first interval between retransmissions of an ADD_ADDR, in
        nanoseconds. Usually it is the greatest retransmission time-out of the subflows.
    :param count: increments a MIB counter.
    """

    __slots__ = ("_awaited", "_awaited_until_ns", "_count", "_keys", "_most_ns", "_pending",
                 "_subflows", "_turn", "_withdrawn")  # fmt: skip

    def __init__(
        self,
        keys: Keys,
        subflows: Sequence[Subflow],
        most_ns: int,
        count: Callable[[str], None],
    ) -> None:
        self._count = count
        self._keys = keys
        self._subflows = subflows
        self._most_ns = most_ns
        self._pending: dict[int, _Pending] = {}
        self._awaited: int | None = None  # the signal whose echo the others wait for
        self._awaited_until_ns = 0  # the end of that wait
        self._turn = 0
        self._withdrawn: tuple[int, ...] = ()  # ids not yet reported

    def announce(self, address_id: int, host: str, port: int | None, now: int) -> None:
        """Start to send ADD_ADDR."""
        local, remote = self._keys.pair()
        hmac = crypto.add_addr_hmac(local, remote, address_id, host, port)
        option = AddAddr(address_id=address_id, address=host, port=port, hmac=hmac)
        self._pending[address_id] = _Pending(option, now)

    def withdraw(self, address_id: int) -> None:
        """Send REMOVE_ADDR on each subflow that can send, as soon as there is one."""
        self._pending.pop(address_id, None)
        if address_id not in self._withdrawn:
            self._withdrawn = (*self._withdrawn, address_id)

    def echoed(self, echo: AddAddr) -> None:
        """Process an echo: the peer has received the address."""
        pending = self._pending.get(echo.address_id)
        if pending is not None and pending.option.address == echo.address:
            del self._pending[echo.address_id]

    def authentic(self, option: AddAddr) -> bool:
        """Return whether the HMAC of an ADD_ADDR is right."""
        local, remote = self._keys.pair()
        expected = crypto.add_addr_hmac(
            remote, local, option.address_id, option.address, option.port
        )
        return option.hmac is not None and crypto.same(option.hmac, expected)

    def echo(self, subflow: Subflow, option: AddAddr) -> None:
        """Echo an ADD_ADDR: the same option without its HMAC."""
        if len(subflow.outbox.waiting) < _MOST_ECHOES:
            self._count("EchoAddTx")
            _signal(subflow, msgspec.structs.replace(option, hmac=None))

    def next_due(self) -> int | None:
        """Return the time at which an address must be announced."""
        if not self._pending or not any(_able(one) for one in self._subflows):
            return None
        due_ns = min(pending.due_ns for pending in self._pending.values())
        return max(due_ns, self._awaited_until_ns) if self._awaited in self._pending else due_ns

    def send_due(self, now: int) -> None:
        """Send the due signals, each time on another subflow."""
        for subflow in self._subflows:
            if subflow.outbox.waiting and subflow.confirmed:
                subflow.tcp.request_ack()
        if self._withdrawn:
            self._withdraw(self._able())
        due_ns = self.next_due() if self._pending else None
        if due_ns is not None and due_ns <= now:
            self._announce_next(self._able(), now)

    def _withdraw(self, able: Sequence[Subflow]) -> None:
        """Send REMOVE_ADDR for all withdrawn addresses on all subflows, if there is one."""
        if not able:
            return
        gone = tuple(sorted(self._withdrawn))
        self._withdrawn = ()
        for start in range(0, len(gone), _MOST_IDS):
            option = RemoveAddr(address_ids=gone[start : start + _MOST_IDS])
            self._count("RmAddrTx")
            for subflow in able:
                _signal(subflow, option)

    def _announce_next(self, able: Sequence[Subflow], now: int) -> None:
        """Send the due address that was sent least often, on each subflow in turn.

        So an address without echo does not block others.
        """
        due = [pending for pending in self._pending.values() if pending.due_ns <= now]
        pending = min(due, key=lambda pending: pending.sent)
        self._count("AddAddrTx")
        _signal(able[self._turn % len(able)], pending.option)
        self._turn += 1
        self._awaited = pending.option.address_id
        interval_ns = min(self._most_ns, max(one.tcp.rto_ns for one in able))
        self._awaited_until_ns = now + interval_ns
        pending.leave(now, interval_ns)

    def _able(self) -> list[Subflow]:
        return [one for one in self._subflows if _able(one)]


def _able(subflow: Subflow) -> bool:
    return subflow.confirmed and subflow.phase.sends and not subflow.fallback


def _signal(subflow: Subflow, option: Option) -> None:
    subflow.outbox.add(option)
    if subflow.confirmed:  # ACKs of an unconfirmed subflow carry the handshake
        subflow.tcp.request_ack()
