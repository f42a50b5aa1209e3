"""The transmission of segments as frames on the right interface."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from testbed.host.devices import frames
from testbed.host.devices.network import Path
from testbed.host.devices.output import Output, Sink
from testbed.host.devices.rtnetlink import Interface
from testbed.packet.address import Address, Flow
from testbed.packet.codec import emit_header
from testbed.packet.icmp import IcmpError, IcmpKind
from testbed.packet.segment import Segment

_MOST_PARKED: Final = 256  # segments that may wait for the address of a neighbour


class Ways(Protocol):
    """Provides the way of packets."""

    def path(self, local: Address, destination: str) -> Path | None:
        """Return the way of packets, or ``None`` while a neighbour is being resolved.

        :raises OSError: there is no route.
        """


class Transmitter:
    """Sends segments, in order on each interface and without blocking.

    :param on_error: called when a segment cannot be sent, with the error that a kernel socket would
        get.
    :param sink: opens an interface for sending. It raises OSError if the interface does not exist.
    """

    def __init__(
        self,
        ways: Ways,
        on_error: Callable[[IcmpError], None],
        sink: Callable[[Interface], Sink],
    ) -> None:
        self._ways = ways
        self._on_error = on_error
        self._sink = sink
        self._loop = asyncio.get_running_loop()
        self._outputs: dict[int, Output] = {}
        self._parked: list[Segment] = []

    def close(self) -> None:
        """Close all sinks."""
        for interface in list(self._outputs):
            self.lose(interface)

    def lose(self, interface: int) -> None:
        """Close the sink of an interface, given by index."""
        output = self._outputs.pop(interface, None)
        if output is not None:
            self._loop.remove_writer(output)
            output.close()

    def send(self, segment: Segment) -> None:
        """Send a segment. The kernel segments one with a ``gso_size``."""
        try:
            path = self._ways.path(segment.source, segment.destination.host)
        except OSError:
            self._tell(IcmpKind.NO_ROUTE, segment)
            return
        if path is None:
            if len(self._parked) < _MOST_PARKED:
                self._parked.append(segment)
            return
        size = len(segment.payload)
        gso_size = segment.gso_size if size > segment.gso_size else 0
        header = emit_header(segment, partial_checksum=True)
        if size and len(header) + (gso_size or size) > path.mtu:
            self._tell(IcmpKind.TOO_BIG, segment, path.mtu)
            return
        output = self._output(path)
        head = frames.head(path.header, header, gso_size)
        if output is not None and not output.send(head + header, segment.payload):
            self._loop.add_writer(output, self._flush, output)

    def take_parked(self) -> list[Segment]:
        """Return the segments that wait for a neighbour, to send them again."""
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
                output = self._outputs[index] = Output(self._sink(path.interface))
            except OSError:  # the interface was just removed
                return None
        return output

    def _flush(self, output: Output) -> None:
        if output.flush():
            self._loop.remove_writer(output)
