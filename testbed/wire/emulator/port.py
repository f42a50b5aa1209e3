"""A packet socket on one middle interface (packet(7))."""

from __future__ import annotations

import errno
import socket
import struct
import time
from itertools import accumulate
from typing import Final, NamedTuple, Protocol

from testbed.errors import SandboxError
from testbed.libc import BATCH, Vector
from testbed.wire.emulator.pool import VNET_HEADER, Pool

_ETH_P_ALL: Final = 3
_SOL_PACKET: Final = 263
_PACKET_ADD_MEMBERSHIP: Final = 1
_PACKET_STATISTICS: Final = 6
_PACKET_VNET_HDR: Final = 15
_PACKET_IGNORE_OUTGOING: Final = 23
_PACKET_MR_PROMISC: Final = 1
_SO_SNDBUFFORCE: Final = 32
_SO_RCVBUFFORCE: Final = 33
_BUFFER: Final = 32 * 2**20  # octets; the kernel counts each frame with its overhead

_SO_TIMESTAMPNS: Final = 35
_NS_PER_S: Final = 10**9

# No frame is there, or the interface is down or was removed.  These errors do not end a wire.
_HARMLESS: Final = {errno.EAGAIN, errno.EINTR, errno.ENETDOWN, errno.ENXIO, errno.ENODEV}


class Batch(NamedTuple):
    """Frames that were received together, with handle, Ethernet length and time of arrival."""

    handles: list[int]
    sizes: list[int]
    arrivals_ns: list[int]


class Source(Protocol):
    """The part of a :class:`Port` that frames come from."""

    fd: int
    latest_ns: int
    overrun_frames: int


class Receiver:
    """A batch of empty slots for all ports, which one system call fills."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._vector = Vector()
        self._vector.make_room_for_stamps()
        self._handles: list[int] = []
        self._refill(pool.take(BATCH))

    def receive(self, port: Source) -> Batch:
        """Return the waiting frames of ``port``, at most :data:`BATCH`.

        Their times of arrival are those of the kernel, however late this process woke up.
        """
        handles, lengths = self._receive(port)
        if not handles:
            return Batch([], [], [])
        arrivals_ns = self._arrivals(len(handles), port.latest_ns)
        port.latest_ns = arrivals_ns[-1]
        return Batch(handles, [length - VNET_HEADER for length in lengths], arrivals_ns)

    def take(self, port: Source) -> tuple[list[int], int]:
        """Return frames as :meth:`receive` does, without times, and the sum of their octets."""
        handles, lengths = self._receive(port)
        return handles, sum(lengths) - VNET_HEADER * len(handles)

    def _receive(self, port: Source) -> tuple[list[int], list[int]]:
        """Return handles and lengths of received frames, and replace their slots."""
        try:
            lengths = self._vector.receive(port.fd)
        except OSError as error:
            if error.errno not in _HARMLESS:
                raise
            return [], []
        count = len(lengths)
        empty = self._pool.take(count)
        if len(empty) < count:  # no memory is left: the next frames overwrite these
            self._pool.give_back(empty)
            port.overrun_frames += count
            return [], []
        handles = self._handles[:count]
        self._pool.set_lengths(handles, lengths)
        self._refill(empty)
        return handles, lengths

    def _arrivals(self, count: int, latest_ns: int) -> list[int]:
        """Return the times of arrival, at least ``latest_ns``: no frame overtakes another."""
        seconds, nanoseconds = self._vector.stamps(count)
        # Stamps are in real time.  One that makes no sense (that clock has been set just now)
        # must not take a frame's delay away, nor must an interruption between these two lines:
        # in this order it makes frames late, as it does in any case.
        real_ns = time.time_ns()
        now_ns = time.monotonic_ns()
        offset_ns = now_ns - real_ns
        earliest_ns = now_ns - _NS_PER_S
        stamps = (
            s * _NS_PER_S + ns + offset_ns for s, ns in zip(seconds, nanoseconds, strict=True)
        )
        arrivals = (ns if earliest_ns <= ns <= now_ns else now_ns for ns in stamps)
        return list(accumulate(arrivals, max, initial=latest_ns))[1:]

    def _refill(self, empty: list[int]) -> None:
        """Put empty slots in the place of the first ones, which are in use now."""
        self._pool.set_empty(empty)
        self._handles[: len(empty)] = empty
        self._vector.point_to(empty)


class Port:
    """One end of a wire.

    The virtio header of each frame passes unfinished checksums and segmentation on unchanged.

    :param interface: a middle interface, in this process's network namespace.
    :raises SandboxError: the interface does not exist.
    :raises OSError: the interface cannot be opened.
    """

    def __init__(self, interface: str, pool: Pool) -> None:
        self._pool = pool
        self.overrun_frames = 0  # lost because they were not read in time, or no memory was left
        self.send_failures = 0  # frames
        self.unsent_octets = 0
        self.latest_ns = 0  # when the last frame arrived
        # Protocol 0 hears nothing: no frame comes in before the options are set.
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        try:
            self._configure(interface)
        except (OSError, SandboxError):
            self._socket.close()
            raise
        self.fd = self._socket.fileno()

    def _configure(self, interface: str) -> None:
        sock = self._socket
        try:
            index = socket.if_nametoindex(interface)
        except OSError:
            raise SandboxError(f"there is no interface {interface!r}") from None
        sock.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        sock.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        promiscuous = struct.pack("=iHH8s", index, _PACKET_MR_PROMISC, 0, b"")
        sock.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, promiscuous)
        for force, ordinary in (
            (_SO_RCVBUFFORCE, socket.SO_RCVBUF),
            (_SO_SNDBUFFORCE, socket.SO_SNDBUF),
        ):
            try:
                sock.setsockopt(socket.SOL_SOCKET, force, _BUFFER)
            except PermissionError:  # rootless: as much as net.core.[rw]mem_max allows
                sock.setsockopt(socket.SOL_SOCKET, ordinary, _BUFFER)
        sock.bind((interface, _ETH_P_ALL))

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()

    def send(self, vector: Vector, handles: list[int]) -> None:
        """Send frames in order and free their slots. Refused frames are counted."""
        for start in range(0, len(handles), BATCH):
            self._send_batch(vector, handles[start : start + BATCH])
        self._pool.give_back(handles)

    def _send_batch(self, vector: Vector, handles: list[int]) -> None:
        while handles:
            vector.point_to(handles)
            try:
                sent = vector.send(self.fd, len(handles))
            except OSError:  # the first frame failed; the wire continues after any error
                self.send_failures += 1
                self.unsent_octets += self._pool.length(handles[0]) - VNET_HEADER
                sent = 1
            if sent == len(handles):
                return
            handles = handles[sent:]

    def overrun(self) -> int:
        """Return how many frames were lost because they were not read in time."""
        # struct tpacket_stats: tp_packets, tp_drops; reading resets both.
        data = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
        self.overrun_frames += struct.unpack("=II", data)[1]
        return self.overrun_frames
