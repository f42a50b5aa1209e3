"""What the kernel's MPTCP is given to send before the third ACK of TCP Fast Open has come.

Linux, 6.18 and 7.3 among them, does not send it, neither then nor later: the subflow is in
SYN-RECEIVED when it is written, and nothing looks at it again.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from testbed import sockinfo

_CHECK_S: Final = 0.001
_SYN_RECV: Final = 3  # TCP_SYN_RECV of TCP_INFO


class AfterHandshake(asyncio.StreamWriter):
    """A stream of a connection that is open before its handshake is over; reading may begin.

    :param writer: its stream; it is not to be used beside this.
    :param sock: its socket.
    """

    def __init__(
        self, writer: asyncio.StreamWriter, reader: asyncio.StreamReader, sock: socket.socket
    ) -> None:
        loop = asyncio.get_running_loop()
        transport = writer.transport
        super().__init__(transport, transport.get_protocol(), reader, loop)
        self._waiting: list[bytes] = []
        self._open = self._ended = False
        self._over = loop.create_task(_handshake_over(sock))
        self._over.add_done_callback(self._release)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write, as soon as that can be sent."""
        if self._open:
            super().write(data)
        else:
            self._waiting.append(bytes(data))

    async def drain(self) -> None:
        """Wait until the kernel takes more."""
        await asyncio.wait((self._over,))
        await super().drain()

    def write_eof(self) -> None:
        """Write nothing more."""
        if self._open:
            super().write_eof()
        else:
            self._ended = True

    def close(self) -> None:
        """Close it; what could not be written yet is lost."""
        self._over.cancel()
        super().close()

    def _release(self, over: asyncio.Task[None]) -> None:
        """Write what has waited."""
        self._open = True
        if over.cancelled() or over.exception() is not None or self.transport.is_closing():
            return
        for data in self._waiting:
            super().write(data)
        self._waiting.clear()
        if self._ended:
            super().write_eof()


async def _handshake_over(sock: socket.socket) -> None:
    """Wait for the third ACK."""
    while (
        sockinfo.is_mptcp(sock)
        and sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _SYN_RECV
    ):
        await asyncio.sleep(_CHECK_S)
