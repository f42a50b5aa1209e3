"""The blocking socket class, without a network under it: the kernel's sockets say what is right."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from testbed.host import socket as blocking
from testbed.stack.options import NO_OPTIONS, SocketOptions
from testbed.streams import StreamPair

Deliver = Callable[[bytes], None]  # has the peer send octets, which have come when it returns


@contextlib.contextmanager
def ours() -> Iterator[tuple[Any, Deliver]]:
    """A connected socket whose streams a test fills."""
    engine = blocking._start()

    async def streams() -> asyncio.StreamReader:
        return asyncio.StreamReader()

    async def feed(data: bytes) -> None:
        reader.feed_data(data)

    reader = engine.call(streams(), None)
    sock = blocking.Socket.__new__(blocking.Socket)
    sock._engine, sock._timeout = engine, 5
    sock._closed = sock._reading_shut = False
    sock._pair = cast("StreamPair", (reader, None))
    yield sock, lambda data: engine.call(feed(data), None)


@contextlib.contextmanager
def of_the_kernel() -> Iterator[tuple[Any, Deliver]]:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as sock,
        listener.accept()[0] as peer,
    ):
        sock.settimeout(5)

        def deliver(data: bytes) -> None:
            peer.sendall(data)
            if not shut(sock):
                assert sock.recv(len(data), socket.MSG_PEEK | socket.MSG_WAITALL) == data
                return
            while sock.recv(len(data), socket.MSG_PEEK) != data:
                pass

        yield sock, deliver


def shut(sock: socket.socket) -> bool:
    """Tell whether a socket gives the end of the stream at once."""
    try:
        return sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False


@pytest.mark.parametrize("connected", [ours, of_the_kernel])
def test_recv_waits_no_more_after_shut_rd(connected: Any) -> None:
    """Data that arrived or still arrives can be read; after it comes the end."""
    with connected() as (sock, deliver):
        deliver(b"before")
        sock.shutdown(socket.SHUT_RD)
        assert sock.recv(3) == b"bef"
        assert sock.recv(100) == b"ore"
        assert sock.recv(100) == b""
        deliver(b"after")
        assert sock.recv(100) == b"after"
        assert sock.recv(100) == b""


@pytest.mark.parametrize(
    ("protocol", "options", "words"),
    [
        (socket.IPPROTO_TCP, SocketOptions(mss=1), "mss cannot be 1"),
        (blocking.IPPROTO_MPTCP, SocketOptions(keepalive_probes=0), "keepalive_probes"),
        (blocking.IPPROTO_MPTCP, SocketOptions(advertised_timeout_ns=1), "not an option of MPTCP"),
    ],
)
def test_options_are_checked_before_there_is_a_connection(
    protocol: int, options: SocketOptions, words: str
) -> None:
    sock = blocking.Socket.__new__(blocking.Socket)
    sock._protocol, sock._pair, sock._options = protocol, None, NO_OPTIONS
    with pytest.raises(ValueError, match=words):
        sock.set_options(options)
    assert sock._options is NO_OPTIONS
