"""Packets, by a packet socket for each interface."""

from __future__ import annotations

import functools
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from testbed.errors import InputError
from testbed.pcapng import ETHERNET, PcapngWriter
from testbed.probe.capture.ring import Packet, Ring
from testbed.probe.capture.selection import Selection
from testbed.probe.nodes import Nodes
from testbed.probe.probes import Probe
from testbed.records import PcapRecord, Record
from testbed.sidefile import SideFile


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options.

    :param folder: the folder for the files ``NODE-INTERFACE.pcapng``.
    :param interfaces: the interfaces of each node; by default all except the loopbacks.
    :param snaplen: how many octets to keep of each packet; the default is enough for all headers of
        a TCP packet with the longest options.
    """

    folder: str
    interfaces: dict[str, tuple[str, ...]] | None = None
    snaplen: int = 160


class _Capture:
    """The capture of one interface, and its file."""

    def __init__(self, node: str, interface: str, options: Options) -> None:
        self.node = node
        self.interface = interface
        self.file = f"{node}-{interface}.pcapng"
        snaplen = options.snaplen
        self.ring = Ring(interface, Selection(snaplen=snaplen).program(), snaplen)
        output = SideFile(Path(options.folder) / self.file)
        self._writer = PcapngWriter(output, [interface], ETHERNET, snaplen)
        self.count = 0

    def write(self, packets: Iterator[Packet]) -> tuple[Record, ...]:
        """Write packets."""
        for packet in packets:
            self._writer.record(
                packet.data, packet.time_ns, length=packet.length, outgoing=packet.outgoing
            )
            self.count += 1
        return ()

    def close(self) -> None:
        """Close the ring and the file. Raises StoreError."""
        self.ring.close()
        self._writer.close()


class Pcap(Probe):
    """Captures packets on interfaces of the nodes."""

    record = PcapRecord

    def __init__(self, nodes: Nodes, options: Mapping[str, object]) -> None:
        super().__init__(nodes, {})
        try:
            self._options = msgspec.convert(options, Options)
        except msgspec.ValidationError as error:
            raise InputError(f"pcap: {error}") from error
        self._captures: list[_Capture] = []

    def start(self) -> tuple[Record, ...]:
        """Start a capture on every interface."""
        for node in self.nodes.names:
            with self.nodes.inside(node):
                there = [name for _, name in socket.if_nameindex() if name != "lo"]
                wanted = self._options.interfaces
                names = there if wanted is None else wanted.get(node, ())
                self._captures += [_Capture(node, name, self._options) for name in names]
        return ()

    def watched(self) -> Mapping[int, Callable[[], Iterable[Record]]]:
        """Return the rings, each with a function that writes its packets."""
        return {
            each.ring.fileno(): functools.partial(_write_handed_over, each)
            for each in self._captures
        }

    def stop(self) -> Iterator[PcapRecord]:
        """Write the remaining packets, and return the number of packets of each interface."""
        offset_ns = time.time_ns() - time.monotonic_ns()
        for capture in self._captures:
            capture.write(capture.ring.rest())
            _, dropped = capture.ring.counts()
            capture.close()
            yield PcapRecord(
                t_ns=time.monotonic_ns(),
                node=capture.node,
                interface=capture.interface,
                file=capture.file,
                realtime_offset_ns=offset_ns,
                captured=capture.count,
                dropped=dropped,
            )


def _write_handed_over(capture: _Capture) -> Iterable[Record]:
    return capture.write(capture.ring.packets())
