"""A packet socket: the kernel writes the packets to memory that it shares with this process.

TPACKET_V3 of packet(7) and Documentation/networking/packet_mmap.rst: the kernel fills blocks, and
releases each one when it is full or a timeout after its first packet. A packet costs no system
call.
"""

from __future__ import annotations

import mmap
import select
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from testbed.errors import SandboxError
from testbed.host.devices.filters import NOTHING, Instruction, attach

WHOLE: Final = 262_144  # octets to keep of a packet: all, as tcpdump does by default

_SOL_PACKET: Final = 263
_ADD_MEMBERSHIP, _RX_RING, _STATISTICS, _VERSION = 1, 5, 6, 10  # PACKET_*
_TPACKET_V3: Final = 2
_ETH_P_ALL: Final = 3
_PROMISCUOUS: Final = struct.Struct("=iHH8s")  # struct packet_mreq
_MR_PROMISC: Final = 1
_RING: Final = struct.Struct("=7I")  # struct tpacket_req3
_STATS: Final = struct.Struct("=3I")  # struct tpacket_stats_v3: packets with drops, drops, freezes
# From struct tpacket_block_desc: status, packets, first packet.
_BLOCK: Final = struct.Struct("=8xIII")
_PACKET: Final = struct.Struct("=IIIIIIHHIIH")  # struct tpacket3_hdr
_TYPE: Final = 48 + 10  # sll_pkttype of the struct sockaddr_ll behind it
_OUTGOING: Final = 4
_STATUS: Final = 8  # offset of a block's status
_USER: Final = 1  # TP_STATUS_USER: the block is ours
_VLAN, _VLAN_PROTOCOL = 1 << 4, 1 << 6  # TP_STATUS_VLAN_VALID, TP_STATUS_VLAN_TPID_VALID
_DOT1Q: Final = 0x8100
_ADDRESSES: Final = 12  # octets in front of a VLAN tag

_BLOCK_SIZE: Final = 1 << 18
_FRAME_SIZE: Final = 1 << 11  # required by the kernel, but version 3 does not use it
_RETIRE_MS: Final = 50
_SMALL: Final = (
    2048  # octets: for packets up to this size, a ring of a quarter of the size is enough
)
_DRAIN_S: Final = 10.0


class Packet(NamedTuple):
    """A packet with its Ethernet header.

    :param length: the length of the packet; ``data`` may be shorter.
    :param time_ns: the kernel's time stamp, since the epoch.
    """

    data: bytes
    length: int
    time_ns: int
    outgoing: bool


class Ring:
    """The packets of one interface in the network namespace of the calling thread.

    :param program: the filter; its return value is the number of octets to keep of a packet.
    :param snaplen: the maximum octets of a packet, which determines the size of the memory.
    :raises SandboxError: the interface does not exist.
    """

    def __init__(self, interface: str, program: Sequence[Instruction], snaplen: int) -> None:
        # Protocol 0 receives nothing, so no packet arrives before the socket is configured.
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
        self._blocks = 16 if snaplen <= _SMALL else 64
        self._next = self._read = self._taken = self._dropped = 0
        try:
            self._memory = self._shared()
            attach(self._socket, program)
            index = socket.if_nametoindex(interface)
            mreq = _PROMISCUOUS.pack(index, _MR_PROMISC, 0, b"")
            self._socket.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, mreq)
            self._socket.bind((interface, _ETH_P_ALL))
        except OSError as error:
            self._socket.close()
            why = error.strerror or error
            raise SandboxError(f"cannot capture on {interface}: {why}") from error

    def fileno(self) -> int:
        """Return the socket, which is readable when a block was released."""
        return self._socket.fileno()

    def packets(self) -> Iterator[Packet]:
        """Yield the packets of released blocks, and return these blocks to the kernel."""
        while True:
            start = self._next * _BLOCK_SIZE
            status, count, first = _BLOCK.unpack_from(self._memory, start)
            if not status & _USER:
                return
            offset = start + first
            for _ in range(count):
                packet, following = self._packet(offset)
                offset += following
                self._read += 1
                yield packet
            struct.pack_into("=I", self._memory, start + _STATUS, 0)  # back to the kernel
            self._next = (self._next + 1) % self._blocks

    def rest(self) -> Iterator[Packet]:
        """Stop receiving, and yield the packets that have arrived and are not yet read.

        :raises SandboxError: the kernel does not release them.
        """
        attach(self._socket, NOTHING)
        deadline = time.monotonic() + _DRAIN_S
        while True:
            yield from self.packets()
            taken, _ = self.counts()
            if self._read >= taken:
                return
            left_ms = int((deadline - time.monotonic()) * 1000)
            if left_ms < 0:
                raise SandboxError(
                    f"the kernel did not deliver {taken - self._read} captured packets"
                )
            waiting = select.poll()
            waiting.register(self._socket, select.POLLIN)
            waiting.poll(min(left_ms, _RETIRE_MS))

    def counts(self) -> tuple[int, int]:
        """Return how many packets were received, and how many were dropped for lack of room."""
        packets, drops, _ = _STATS.unpack(
            self._socket.getsockopt(_SOL_PACKET, _STATISTICS, _STATS.size)
        )
        self._taken += packets - drops  # the kernel resets its counters each time
        self._dropped += drops
        return self._taken, self._dropped

    def close(self) -> None:
        """Close the socket and its memory."""
        self._memory.close()
        self._socket.close()

    def _shared(self) -> mmap.mmap:
        size = self._blocks * _BLOCK_SIZE
        self._socket.setsockopt(_SOL_PACKET, _VERSION, _TPACKET_V3)
        ring = _RING.pack(
            _BLOCK_SIZE, self._blocks, _FRAME_SIZE, size // _FRAME_SIZE, _RETIRE_MS, 0, 0
        )
        self._socket.setsockopt(_SOL_PACKET, _RX_RING, ring)
        return mmap.mmap(self._socket.fileno(), size)

    def _packet(self, offset: int) -> tuple[Packet, int]:
        """Return the packet at an offset, and the distance to the next one."""
        memory = self._memory
        following, seconds, nanoseconds, kept, length, status, mac, _, _, tag, protocol = (
            _PACKET.unpack_from(memory, offset)
        )
        data = memory[offset + mac : offset + mac + kept]
        if status & _VLAN and len(data) >= _ADDRESSES:  # the kernel has removed the tag
            kind = protocol if status & _VLAN_PROTOCOL else _DOT1Q
            data = data[:_ADDRESSES] + struct.pack("!HH", kind, tag) + data[_ADDRESSES:]
            length += 4
        packet = Packet(
            data=data,
            length=length,
            time_ns=seconds * 1_000_000_000 + nanoseconds,
            outgoing=memory[offset + _TYPE] == _OUTGOING,
        )
        return packet, following
