"""A capture in a node: ``python -m testbed.probe.capture.program JOB``.

Packets go to standard output. It ends at the end of its standard input, or when a limit of the job
is reached. Before it ends it writes all packets that have arrived.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import sys
import time
from collections.abc import Iterator
from typing import Final

import msgspec

from testbed.errors import SandboxError, TestbedError
from testbed.failure import Failure
from testbed.pcapng import ETHERNET, PcapngWriter
from testbed.probe.capture.job import MESSAGES_FD, AnyMessage, Ended, Failed, Job, Listening
from testbed.probe.capture.ring import Packet, Ring
from testbed.probe.capture.words import describe

_CONTROL: Final = 0  # standard input
_OUTPUT: Final = 1


class _Closed(Exception):  # noqa: N818 - the reader has enough, which is no error
    """The reader of the packets has closed the pipe."""


class Output:
    """Standard output. A flush writes all data, if necessary by several calls."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def write(self, data: bytes) -> None:
        """Add octets to the buffer."""
        self._pending += data

    def flush(self) -> None:
        """Write the buffer. Raises _Closed, and SandboxError if the disk is full."""
        view = memoryview(bytes(self._pending))
        self._pending.clear()
        try:
            while view:
                view = view[os.write(_OUTPUT, view) :]
        except BrokenPipeError:
            raise _Closed from None
        except OSError as error:
            raise SandboxError(f"cannot write the packets: {error.strerror}") from error

    def close(self) -> None:
        """Write the buffer."""
        self.flush()


class Writer:
    """Writes packets in the format of the job."""

    def __init__(self, job: Job, interfaces: tuple[str, ...]) -> None:
        self._job = job
        self._interfaces = interfaces
        self._output = Output()
        self._pcapng: PcapngWriter | None = None
        if job.form == "pcapng":
            snaplen = job.selection.snaplen
            self._pcapng = PcapngWriter(self._output, interfaces, ETHERNET, snaplen)
        self.count = 0

    @property
    def full(self) -> bool:
        """Whether the packet limit is reached."""
        return self._job.count is not None and self.count >= self._job.count

    def write(self, interface: int, packets: Iterator[Packet]) -> None:
        """Write packets up to the packet limit."""
        for packet in packets:
            if self.full:
                continue
            self.count += 1
            if self._pcapng is None:
                line = describe(packet, self._interfaces[interface])
                self._output.write(line.encode() + b"\n")
            else:
                self._pcapng.record(
                    packet.data,
                    packet.time_ns,
                    interface=interface,
                    length=packet.length,
                    outgoing=packet.outgoing,
                )
        self._output.flush()


def capture(job: Job) -> Ended:
    """Capture until a limit of the job is reached, the reader closes, or standard input ends."""
    names = job.interfaces or tuple(it for _, it in socket.if_nameindex() if it != "lo")
    if not names:
        raise SandboxError("there is no interface to capture on")
    program = job.selection.program()
    with contextlib.ExitStack() as stack:
        rings = []
        for name in names:
            ring = Ring(name, program, job.selection.snaplen)
            stack.callback(ring.close)
            rings.append(ring)
        writer = Writer(job, names)
        _say(Listening(interfaces=names))
        try:
            writer.write(0, iter(()))  # so that a reader sees the file header at once
            _follow(job, rings, writer)
            if not writer.full:
                for index, ring in enumerate(rings):
                    writer.write(index, ring.rest())
        except _Closed:
            pass
        return Ended(captured=writer.count, dropped=sum(ring.counts()[1] for ring in rings))


def _follow(job: Job, rings: list[Ring], writer: Writer) -> None:
    """Write packets as they arrive."""
    end = None if job.duration_s is None else time.monotonic() + job.duration_s
    with selectors.DefaultSelector() as selector:
        selector.register(_CONTROL, selectors.EVENT_READ, None)
        for index, ring in enumerate(rings):
            selector.register(ring, selectors.EVENT_READ, index)
        while not writer.full:
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                return
            for key, _ in selector.select(left):
                if key.data is None:
                    if os.read(_CONTROL, 4096) == b"":
                        return
                else:
                    writer.write(key.data, rings[key.data].packets())


def _say(message: AnyMessage) -> None:
    os.write(MESSAGES_FD, msgspec.json.encode(message) + b"\n")


def main() -> None:
    """Run the job of the command line."""
    job = msgspec.json.decode(sys.argv[1], type=Job)
    try:
        _say(capture(job))
    except TestbedError as error:
        _say(Failed(failure=Failure.of(error)))
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
