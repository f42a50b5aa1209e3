"""From segments to frames on the right interface."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from testbed.host import frames
from testbed.host.network import Network, Path
from testbed.host.sockets import Output
from testbed.packet.address import Flow
from testbed.packet.codec import emit_header, header_length
from testbed.packet.icmp import IcmpError, IcmpKind
from testbed.packet.segment import Segment

_MOST_PARKED: Final = 256  # segments whose neighbour is being resolved


class Transmitter:
    """Sends segments, in order on each interface, without ever waiting.

    :param on_error: told, as the kernel tells its sockets, when a segment cannot be sent.
    """

    def __init__(self, network: Network, on_error: Callable[[IcmpError], None]) -> None:
        self._network = network
        self._on_error = on_error
        self._loop = asyncio.get_running_loop()
        self._outputs: dict[int, Output] = {}
        self._parked: list[Segment] = []

    def close(self) -> None:
        """Close all sockets."""
        for output in self._outputs.values():
            self._loop.remove_writer(output)
            output.close()
        self._outputs.clear()

    def send(self, segment: Segment) -> None:
        """Send a segment; the kernel cuts one that has a ``gso_size``."""
        try:
            path = self._network.path(segment.source, segment.destination.host)
        except OSError:
            self._tell(IcmpKind.NO_ROUTE, segment)
            return
        if path is None:
            if len(self._parked) < _MOST_PARKED:
                self._parked.append(segment)
            return
        size = len(segment.payload)
        gso_size = segment.gso_size if size > segment.gso_size else 0
        if size and header_length(segment) + (gso_size or size) > path.mtu:
            self._tell(IcmpKind.TOO_BIG, segment, path.mtu)
            return
        output = self._output(path)
        header = emit_header(segment, partial_checksum=True)
        head = frames.head(path.header, header, gso_size)
        if output is not None and not output.send(head + header, segment.payload):
            self._loop.add_writer(output, self._flush, output)

    def take_parked(self) -> list[Segment]:
        """Return what waits for a neighbour, to be sent again."""
        parked, self._parked = self._parked, []
        return parked

    def _tell(self, kind: IcmpKind, segment: Segment, mtu: int = 0) -> None:
        flow = Flow(segment.source, segment.destination)
        self._on_error(IcmpError(kind=kind, flow=flow, seq=segment.seq, mtu=mtu))

    def _output(self, path: Path) -> Output | None:
        index = path.interface.index
        output = self._outputs.get(index)
        if output is None:
            try:
                output = self._outputs[index] = Output(path.interface.name)
            except OSError:  # the interface has gone just now
                return None
        return output

    def _flush(self, output: Output) -> None:
        if output.flush():
            self._loop.remove_writer(output)
