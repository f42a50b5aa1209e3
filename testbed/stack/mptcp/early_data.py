"""Data on the SYN of the first subflow (RFC 8684, appendix B).

Such data has no mapping. The data stream and the mapped part of the subflow begin after it.
"""

from __future__ import annotations

from testbed.stack.tcp.connection import TcpConnection


class EarlyData:
    """The data on the SYNs of one subflow.

    :ivar received: how many octets the peer's SYN carried. Positions in TCP's stream are higher by
        this number.
    :ivar sent: how many octets our SYN carried.
    :ivar may_answer: whether an answer may leave before the handshake is complete.
    """

    __slots__ = ("may_answer", "received", "sent")

    def __init__(self) -> None:
        self.received = self.sent = 0
        self.may_answer = False

    def take(self, tcp: TcpConnection, *, answer: bool) -> bytes:
        """Return the data that arrived on the SYN.

        :param answer: whether an answer may leave before the handshake is complete.
        """
        data = tcp.read(tcp.readable)
        self.received = len(data)
        self.may_answer = answer
        return data

    def send(self, tcp: TcpConnection, data: bytes) -> None:
        """Send what fits on the SYN.

        TCP drops the octets that the SYN/ACK does not acknowledge.
        """
        if tcp.early is not None and not tcp.closed:
            tcp.send(data[: tcp.early.limit])

    def acknowledged(self, octets: int) -> None:
        """Record how many octets of our SYN the peer has acknowledged."""
        self.sent = octets
