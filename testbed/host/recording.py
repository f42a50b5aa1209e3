"""The recording of a host's segments and events."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from testbed.driver.device import Above, Device, Packet
from testbed.packet.codec import emit, split
from testbed.packet.segment import Segment
from testbed.pcapng import RAW, PcapngWriter
from testbed.sidefile import SideFile


def since_epoch(now: int) -> int:
    """Return a time of CLOCK_MONOTONIC as nanoseconds since the epoch."""
    return time.time_ns() - time.monotonic_ns() + now


class Tap(Protocol):
    """Gets each segment between the stack and the interfaces."""

    def segment(self, segment: Segment, now: int) -> None:
        """Process a segment that was received or is about to be sent."""


class Tapped:
    """A device with a tap. A fault of the tap does not affect segments.

    :param now: the time of the driver, in nanoseconds.
    """

    def __init__(self, device: Device, tap: Tap, now: Callable[[], int]) -> None:
        self._device = device
        self._tap = tap
        self._now = now
        self._above: Above | None = None
        self.source_for = device.source_for
        self.close = device.close

    @property
    def hosts(self) -> Sequence[str]:
        """The addresses of the device."""
        return self._device.hosts

    def attach(self, above: Above) -> None:
        """Start to carry packets for a driver."""
        self._above = above
        self._device.attach(above)

    def receive(self) -> Sequence[Packet]:
        """Return the packets that the device has received."""
        packets = self._device.receive()
        if packets:
            self._show([one for one in packets if isinstance(one, Segment)], self._now())
        return packets

    def send(self, segments: Sequence[Segment], now: int) -> None:
        """Send segments by the device."""
        self._show(segments, now)
        self._device.send(segments, now)

    def _show(self, segments: Sequence[Segment], now: int) -> None:
        for segment in segments:
            try:
                self._tap.segment(segment, now)
            except Exception as error:
                if self._above is not None:
                    self._above.fault("a segment that is recorded", error)


class Capture:
    """A tap that writes a pcapng file with wire packets and complete checksums.

    :raises InputError: the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._writer = PcapngWriter(SideFile(path), ["testbed"], RAW)

    def segment(self, segment: Segment, now: int) -> None:
        """Record the packets of a segment, split by its ``gso_size``."""
        moment = since_epoch(now)
        for piece in split(segment):
            self._writer.record(emit(piece), moment)

    def close(self) -> None:
        """Write the rest of the file.

        :raises StoreError: some packets could not be written.
        """
        self._writer.close()


class JsonTracer:
    """A tracer (:class:`testbed.trace.Tracer`) that writes JSON lines.

    Each has ``t_ns`` (since the epoch), ``event`` (the kernel's name) and the event's fields.

    :raises InputError: the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._file = SideFile(path)

    def event(self, name: str, now: int, fields: dict[str, Any]) -> None:
        """Write one line immediately."""
        line = {"t_ns": since_epoch(now), "event": name, **fields}
        self._file.write(msgspec.json.encode(line) + b"\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file.

        :raises StoreError: some events could not be written.
        """
        self._file.close()
