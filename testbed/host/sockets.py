"""Packet sockets (packet(7)): one per family to receive with, one per interface to send with."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import socket
import struct
from collections import deque
from collections.abc import Iterable
from typing import Final

from testbed.errors import PlatformError
from testbed.host import filters, frames
from testbed.libc import BATCH, Vector

_PROTOCOLS: Final = {socket.AF_INET: 0x0800, socket.AF_INET6: 0x86DD}  # linux/if_ether.h
_VNET_HEADER: Final = 10  # octets of struct virtio_net_hdr: packet(7) refuses to read less
_SOL_PACKET: Final = 263
_PACKET_VNET_HDR: Final = 15
_SO_SNDBUFFORCE: Final = 32
_SO_RCVBUFFORCE: Final = 33
_RECEIVE_BUFFER: Final = 32 * 2**20  # octets; the kernel counts each frame with its overhead
_SEND_BUFFER: Final = 4 * 2**20
_MOST_WAITING: Final = 4096  # frames
# There is nothing, or the interface is down or gone.
_HARMLESS: Final = (errno.EAGAIN, errno.EINTR, errno.ENETDOWN, errno.ENXIO, errno.ENODEV)


class Receiver:
    """A batch of buffers: one system call fills them."""

    def __init__(self) -> None:
        stride = -(-frames.LARGEST // mmap.PAGESIZE) * mmap.PAGESIZE
        self._memory = mmap.mmap(-1, BATCH * stride)  # what no frame touches costs nothing
        self._slots = [memoryview(self._memory)[at * stride :] for at in range(BATCH)]
        base = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        # struct iovec: base and length
        self._iovecs = (ctypes.c_uint64 * (2 * BATCH))()
        for index in range(BATCH):
            self._iovecs[2 * index] = base + index * stride
            self._iovecs[2 * index + 1] = frames.LARGEST
        first = ctypes.addressof(self._iovecs)
        self._vector = Vector()
        self._vector.point_to([first + 16 * index for index in range(BATCH)])

    def receive(self, fd: int) -> list[frames.Received]:
        """Return the frames that wait at a socket, at most :data:`~testbed.libc.BATCH`.

        They are views of the buffers, which the next call fills again.
        """
        try:
            lengths = self._vector.receive(fd)
        except OSError as error:
            if error.errno in _HARMLESS:
                return []
            raise
        return [
            frames.unpack(slot[:length]) for slot, length in zip(self._slots, lengths, strict=False)
        ]


class Input:
    """Hears packets of one family on all interfaces.

    It is bound to the family's protocol: so it gets each packet once, from the interface whose
    address it is for, also where there are bridges, bonds or VLANs.

    :raises PlatformError: this process may not open packet sockets.
    """

    def __init__(self, family: socket.AddressFamily) -> None:
        self._family = family
        self._socket = _open(socket.htons(_PROTOCOLS[family]))
        filters.attach(self._socket, filters.NOTHING)
        _enlarge(self._socket, _SO_RCVBUFFORCE, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        with contextlib.suppress(BlockingIOError):
            while True:  # throw away what came before the filter
                self._socket.recv(_VNET_HEADER)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._socket.fileno()

    def listen_to(self, blocks: Iterable[int]) -> None:
        """Hear segments to these blocks of ports only (:func:`testbed.host.filters.block_of`)."""
        filters.attach(self._socket, filters.segments_to(self._family, blocks))

    def close(self) -> None:
        """Close it."""
        self._socket.close()


class Output:
    """Sends on one interface, in order, without ever waiting.

    :raises OSError: there is no such interface.
    """

    def __init__(self, interface: str) -> None:
        self._socket = _open(0)  # protocol 0: it hears nothing
        _enlarge(self._socket, _SO_SNDBUFFORCE, socket.SO_SNDBUF, _SEND_BUFFER)
        self._waiting: deque[tuple[bytes, bytes]] = deque()
        try:
            self._socket.bind((interface, 0))
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor, which is writable when :meth:`flush` can go on."""
        return self._socket.fileno()

    def send(self, head: bytes, payload: bytes) -> bool:
        """Send a frame, which the kernel puts together; ``False``: it waits until there is room.

        What the kernel refuses (the interface is down, its queue is full) is lost, as packets
        are on a network.
        """
        if self._waiting:
            if len(self._waiting) < _MOST_WAITING:
                self._waiting.append((head, payload))
            return False
        try:
            self._socket.sendmsg((head, payload))
        except BlockingIOError:
            self._waiting.append((head, payload))
            return False
        except OSError:
            return True
        return True

    def flush(self) -> bool:
        """Send what waits; return whether that was all."""
        waiting, self._waiting = self._waiting, deque()
        while waiting:
            if not self.send(*waiting.popleft()):
                self._waiting.extend(waiting)
                return False
        return True

    def close(self) -> None:
        """Close it."""
        self._socket.close()


def _open(protocol: int) -> socket.socket:
    try:
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol)
    except PermissionError as error:
        raise PlatformError(
            "this process may not open packet sockets",
            why="the userspace stack sends and receives whole frames",
            instead="run it as root, in a sandbox (testbed exec) or in a namespace of your own "
            "(unshare -rn)",
        ) from error
    opened.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, struct.pack("=i", 1))
    return opened


def _enlarge(sock: socket.socket, force: int, ordinary: int, octets: int) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, force, octets)
    except PermissionError:  # rootless: as much as net.core.[rw]mem_max allows
        sock.setsockopt(socket.SOL_SOCKET, ordinary, octets)
