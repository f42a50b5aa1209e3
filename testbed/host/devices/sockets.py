"""Packet sockets (packet(7)): one per family for receiving, one per interface for sending."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import socket
import struct
from collections.abc import Iterable
from typing import Final

from testbed.errors import PlatformError
from testbed.host.devices import filters, frames, rtnetlink
from testbed.host.devices.buffers import Buffers
from testbed.host.devices.received import Received
from testbed.host.devices.rtnetlink import Interface
from testbed.libc import BATCH, Vector

PROTOCOLS: Final = {socket.AF_INET: 0x0800, socket.AF_INET6: 0x86DD}  # linux/if_ether.h
_VNET_HEADER: Final = 10  # octets of struct virtio_net_hdr: packet(7) refuses to read less
_SOL_PACKET: Final = 263
_PACKET_VNET_HDR: Final = 15
_SO_SNDBUFFORCE: Final = 32
_SO_RCVBUFFORCE: Final = 33
_RECEIVE_BUFFER: Final = 32 * 2**20  # octets; the kernel counts each frame with its overhead
_SEND_BUFFER: Final = 4 * 2**20
# Nothing has arrived, or the interface is down or gone.
_HARMLESS: Final = (errno.EAGAIN, errno.EINTR, errno.ENETDOWN, errno.ENXIO, errno.ENODEV)


class Receiver:
    """A batch of receive buffers, which one system call fills."""

    def __init__(self) -> None:
        self._buffers = Buffers()
        self._slots = self._buffers.slots
        # struct iovec: base and length
        self._iovecs = (ctypes.c_uint64 * (2 * BATCH))()
        for index, address in enumerate(self._buffers.addresses()):
            self._iovecs[2 * index] = address
            self._iovecs[2 * index + 1] = frames.LARGEST
        first = ctypes.addressof(self._iovecs)
        self._vector = Vector()
        self._vector.point_to([first + 16 * index for index in range(BATCH)])

    def receive(self, fd: int, link: int) -> list[Received]:
        """Return the waiting packets of a socket, at most :data:`~testbed.libc.BATCH`.

        They are views of the buffers, which the next call overwrites.

        :param link: the size of the link header in octets.
        """
        try:
            lengths = self._vector.receive(fd)
        except OSError as error:
            if error.errno in _HARMLESS:
                return []
            raise
        return [
            frames.unpack(slot[:length], link)
            for slot, length in zip(self._slots, lengths, strict=False)
        ]


class Input:
    """Receives packets of one family from all interfaces with a link header, or from all others.

    It is bound to the protocol of the family. So it receives each packet once, from the interface
    with the address, also with bridges, bonds or VLANs.

    :param framed: whether it receives from interfaces with an Ethernet header.
    :raises PlatformError: this process may not open packet sockets.
    """

    def __init__(
        self, family: socket.AddressFamily, receiver: Receiver, *, framed: bool = True
    ) -> None:
        self._family = family
        self._receiver = receiver
        self._link = frames.ETHERNET_HEADER if framed else 0
        self._types = rtnetlink.FRAMED if framed else rtnetlink.BARE
        self._socket = _open(socket.htons(PROTOCOLS[family]))
        filters.attach(self._socket, filters.NOTHING)
        _enlarge(self._socket, _SO_RCVBUFFORCE, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        with contextlib.suppress(BlockingIOError):
            while True:  # discard frames from before the filter was set
                self._socket.recv(_VNET_HEADER)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._socket.fileno()

    def listen_to(self, blocks: Iterable[int]) -> None:
        """Receive only segments to these blocks of ports (:func:`.filters.block_of`)."""
        wanted = filters.segments_to(self._family, blocks, self._link)
        filters.attach(self._socket, filters.on_links(self._types, wanted))

    def receive(self) -> list[Received]:
        """Return a batch of waiting packets. The next batch of any input overwrites them."""
        return self._receiver.receive(self._socket.fileno(), self._link)

    def close(self) -> None:
        """Close it."""
        self._socket.close()


class PacketSink:
    """Sends on one interface.

    :raises OSError: the interface does not exist.
    """

    def __init__(self, interface: Interface) -> None:
        self._name = interface.name
        self._framed = interface.framed
        self._socket = _open(0)  # a socket of protocol 0 receives nothing
        _enlarge(self._socket, _SO_SNDBUFFORCE, socket.SO_SNDBUF, _SEND_BUFFER)
        try:
            self._socket.bind((interface.name, 0))
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._socket.fileno()

    def write(self, head: bytes, payload: bytes) -> None:
        """Send a frame; see :class:`testbed.host.devices.output.Sink`."""
        if self._framed:
            self._socket.sendmsg((head, payload))
        else:  # the frame has no header that gives the protocol
            six = head[frames.VNET_HEADER] >> 4 == 6
            protocol = PROTOCOLS[socket.AF_INET6 if six else socket.AF_INET]
            self._socket.sendmsg((head, payload), (), 0, (self._name, protocol))

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
    except PermissionError:  # without root, net.core.[rw]mem_max is the limit
        sock.setsockopt(socket.SOL_SOCKET, ordinary, octets)
