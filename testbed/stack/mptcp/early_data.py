"""Data on the SYN of the first subflow (RFC 8684, appendix B).

It has no mapping: the data stream begins after it, on the subflow as well.
"""

from __future__ import annotations

from testbed.stack.tcp.connection import TcpConnection


class EarlyData:
    """Of one subflow.

    :ivar received: octets that have come so; positions of TCP's stream are that much higher.
    :ivar sent: octets that have left so.
    :ivar may_answer: more may leave before the handshake is over.
    """

    __slots__ = ("may_answer", "received", "sent")

    def __init__(self) -> None:
        self.received = self.sent = 0
        self.may_answer = False

    def take(self, tcp: TcpConnection, *, answer: bool) -> bytes:
        """Return the data that has come.

        :param answer: more may leave before the handshake is over.
        """
        data = tcp.read(tcp.readable)
        self.received = len(data)
        self.may_answer = answer
        return data

    def send(self, tcp: TcpConnection, data: bytes) -> None:
        """Send of this what can leave so; TCP drops what the SYN,ACK does not acknowledge."""
        if tcp.early is not None and not tcp.closed:
            tcp.send(data[: tcp.early.limit])

    def acknowledged(self, octets: int) -> None:
        """Take how much of it the peer has taken."""
        self.sent = octets
