"""The heir of a killed supervisor: it has the peers of its connections see a reset.

The kernel answers each segment of such a peer with RST, because it does not know the connection.
A peer that only reads sends no segment.  So the heir, which is the keeper, sends the peer a segment
that is outside of its window.  The peer answers with an ACK (RFC 9293, section 3.10.7.4), and the
kernel answers that ACK with a RST that has the expected sequence number.  The heir therefore needs
only the addresses and ports of the flows.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import socket
import struct
import time
from collections.abc import Collection, Sequence
from typing import Final

from testbed.packet.address import Flow, address_of, pack
from testbed.packet.codec import emit
from testbed.packet.segment import ACK, Segment

_HEAD: Final = struct.Struct("=BxxxII")  # which half counts, and how many entries each half has
_ENTRY: Final = struct.Struct("=BxHH16s16s")  # octets of an address, ports, addresses
_ROOM: Final = 16384
_LOOK_S: Final = 0.01
_HALF: Final = _ROOM * _ENTRY.size
# Two opposite sequence numbers: one at least is outside of any window.
_SEQUENCES: Final = (0, 1 << 31)
_IP_HEADER: Final = {socket.AF_INET: 20, socket.AF_INET6: 40}
# After how long they are asked again: a packet may be lost, and Linux answers twice in a second
# (tcp_invalid_ratelimit).
_AGAIN_S: Final = (0.0, 0.6, 1.2)


class Flows:
    """The flows of a stack, in memory that processes forked later share.

    The table holds 16384 flows; further ones are left out.  It has two halves.  The writer fills
    the half that readers do not use, and then switches, so a writer that is killed leaves a whole
    table behind.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _HEAD.size + 2 * _HALF)
        self._written: tuple[Flow, ...] = ()

    def write(self, flows: Collection[Flow]) -> None:
        """Replace the flows of the table."""
        chosen = tuple(flows)[:_ROOM]
        if chosen == self._written:
            return
        half, *counts = _HEAD.unpack_from(self._memory)
        half = 1 - half
        data = b"".join(map(_entry, chosen))
        start = _HEAD.size + half * _HALF
        self._memory[start : start + len(data)] = data
        counts[half] = len(chosen)
        struct.pack_into("=II", self._memory, 4, *counts)
        self._memory[0] = half  # one octet: it is the old one or the new one
        self._written = chosen

    def read(self) -> list[Flow]:
        """Return what was written last."""
        half, *counts = _HEAD.unpack_from(self._memory)
        start = _HEAD.size + half * _HALF
        return [_flow(self._memory, start + number * _ENTRY.size) for number in range(counts[half])]


def _entry(flow: Flow) -> bytes:
    (local, near), (remote, far) = flow
    octets = pack(local)
    return _ENTRY.pack(len(octets), near, far, octets, pack(remote))


def _flow(memory: mmap.mmap, at: int) -> Flow:
    size, near, far, local, remote = _ENTRY.unpack_from(memory, at)
    return Flow(address_of(local[:size], near), address_of(remote[:size], far))


def probes(flow: Flow) -> Sequence[Segment]:
    """Return segments of which the peer of a flow answers one at least, whatever it expects."""
    return [
        Segment(source=flow.local, destination=flow.remote, seq=seq, ack=seq, flags=ACK)
        for seq in _SEQUENCES
    ]


def tell(supervisor: int, table: Flows) -> None:
    """Have the peers of a killed supervisor see a reset.  Needs CAP_NET_RAW.

    :param supervisor: the parent of this process.  The function first waits until it has ended:
        before that, its sockets keep the kernel from answering for its ports.
    """
    flows = table.read()
    if not flows:
        return
    while os.getppid() == supervisor:
        time.sleep(_LOOK_S)
    for seconds in _AGAIN_S:
        time.sleep(seconds)
        for flow in flows:
            with contextlib.suppress(OSError):  # an address has gone, or there is no way
                _send(flow)


def _send(flow: Flow) -> None:
    family = socket.AF_INET6 if ":" in flow.local.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_TCP) as raw:
        raw.bind((flow.local.host, 0))
        for probe in probes(flow):
            raw.sendto(emit(probe)[_IP_HEADER[family] :], (flow.remote.host, 0))
