"""Data that is written to the kernel's MPTCP before the third ACK of TCP Fast Open.

Linux (6.18 and 7.3 were tested) never sends this data. The subflow is in SYN-RECEIVED when the data
is written, and the kernel does not retry later.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from testbed import sockinfo

_CHECK_S: Final = 0.001
_SYN_RECV: Final = 3  # TCP_SYN_RECV of TCP_INFO


class AfterHandshake(asyncio.StreamWriter):
    """A writer that holds data back until the handshake is over. Reading may begin before.

    :param writer: the stream of the connection. The caller must not use it any more.
    :param sock: the socket of the connection.
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
        """Write data, or queue it until the handshake is over."""
        if self._open:
            super().write(data)
        else:
            self._waiting.append(bytes(data))

    async def drain(self) -> None:
        """Wait until the kernel accepts more data."""
        await asyncio.wait((self._over,))
        await super().drain()

    def write_eof(self) -> None:
        """End the output."""
        if self._open:
            super().write_eof()
        else:
            self._ended = True

    def close(self) -> None:
        """Close the stream. Queued data is lost."""
        self._over.cancel()
        super().close()

    def _release(self, over: asyncio.Task[None]) -> None:
        """Write the queued data."""
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
