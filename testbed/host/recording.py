"""Writing down what a host's stack sends, receives and does."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Protocol

import msgspec

from testbed.packet.codec import emit, split
from testbed.packet.segment import Segment
from testbed.pcapng import RAW, PcapngWriter
from testbed.sidefile import SideFile


def since_epoch(now: int) -> int:
    """Return a time of CLOCK_MONOTONIC as nanoseconds since the epoch."""
    return time.time_ns() - time.monotonic_ns() + now


class Tap(Protocol):
    """Sees every segment on its way between the stack and the interfaces."""

    def segment(self, segment: Segment, now: int) -> None:
        """Look at a segment that was received, or is about to be sent."""


class NullTap:
    """Looks away."""

    def segment(self, segment: Segment, now: int) -> None:
        """Do nothing."""


class Capture:
    """A tap that writes a pcapng file: the packets as they are on the wire, with whole checksums.

    :raises InputError: the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._writer = PcapngWriter(SideFile(path), ["testbed"], RAW)

    def segment(self, segment: Segment, now: int) -> None:
        """Record the packets a segment is cut into, or was put together from."""
        moment = since_epoch(now)
        for piece in split(segment):
            self._writer.record(emit(piece), moment)

    def close(self) -> None:
        """Write what is not written yet.

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
        """Write one line, at once."""
        line = {"t_ns": since_epoch(now), "event": name, **fields}
        self._file.write(msgspec.json.encode(line) + b"\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file.

        :raises StoreError: some events could not be written.
        """
        self._file.close()
