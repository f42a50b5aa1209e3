"""The sampler: ``python -m testbed.probe.sampler --records FD``.

One process for a whole run, root in the sandbox. Its standard input has one line, the job, and the
end of that input is the request to stop. Its standard output has its messages. Records go to the
descriptor that it inherits. Its only thread sleeps until the next sample is due or an event
arrives.
"""

from __future__ import annotations

import argparse
import io
import os
import selectors
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import msgspec

from testbed.errors import SandboxError, TestbedError
from testbed.failure import Failure
from testbed.libc import Timer
from testbed.moments import next_multiple
from testbed.probe.job import Job
from testbed.probe.messages import AnyMessage, Failed, Ready, Stopped, Summary
from testbed.probe.nodes import Nodes
from testbed.probe.probes import PROBES
from testbed.records import Record

_CONTROL = 0  # standard input
_messages = sys.stdout.buffer


class Sampler:
    """Runs the probes.

    :param records: the file to write records to.
    """

    def __init__(self, job: Job, records: BinaryIO) -> None:
        self._nodes = Nodes(job.nodes, Path(job.directory))
        self._probes = [
            PROBES.take(name)(self._nodes, job.options.get(name, {}))
            for name in dict.fromkeys(job.probes)
        ]
        self._interval_ns = job.interval_ns
        self._records = records
        self._encoder = msgspec.json.Encoder()
        self._selector = selectors.DefaultSelector()
        self._timer = Timer()
        self._samples = self._written = self._missed = 0

    def start(self) -> None:
        """Start every probe and take the first sample."""
        for each in self._probes:
            self._write(each.start())
            for fd, read in each.watched().items():
                self._selector.register(fd, selectors.EVENT_READ, read)
        self._sample()

    def run(self) -> None:
        """Take a sample at every multiple of the interval until standard input ends."""
        self._selector.register(_CONTROL, selectors.EVENT_READ)
        self._selector.register(self._timer, selectors.EVENT_READ)
        due_ns = self._next()
        stopping = False
        while not stopping:
            for key, _ in self._selector.select():
                if key.fileobj is self._timer:
                    self._sample()
                    due_ns, before_ns = self._next(), due_ns
                    self._missed += (due_ns - before_ns) // self._interval_ns - 1
                elif key.fd == _CONTROL:
                    stopping = os.read(_CONTROL, 4096) == b""
                else:
                    self._write(key.data())

    def _next(self) -> int:
        """Set the timer to the next multiple of the interval, and return that time."""
        due_ns = next_multiple(self._interval_ns)
        self._timer.set(due_ns)
        return due_ns

    def stop(self) -> Summary:
        """Take a last sample, stop the probes and write all records."""
        self._sample()
        for each in self._probes:
            self._write(each.stop())
        self._records.flush()
        self._nodes.close()
        self._timer.close()
        return Summary(
            samples=self._samples,
            records=self._written,
            missed=self._missed,
            cpu_s=time.process_time(),
        )

    def _sample(self) -> None:
        self._nodes.refresh()
        for each in self._probes:
            self._write(each.sample())
        self._records.flush()
        self._samples += 1

    def _write(self, records: Iterable[Record]) -> None:
        for record in records:
            self._records.write(self._encoder.encode(record) + b"\n")
            self._written += 1


def main() -> None:
    """Read the job, and take samples until the end of standard input."""
    sys.stdout = sys.stderr  # so that the output of a plugin is not read as a message
    parser = argparse.ArgumentParser(prog="python -m testbed.probe.sampler")
    parser.add_argument("--records", type=int, required=True, metavar="FD")
    arguments = parser.parse_args()
    try:
        job = msgspec.json.decode(_first_line(), type=Job)
        with os.fdopen(arguments.records, "wb") as records:
            sampler = Sampler(job, records)
            sampler.start()
            _say(Ready())
            sampler.run()
            summary = sampler.stop()
    except TestbedError as error:
        _fail(error)
    except Exception as error:  # the process that waits for us needs a message
        _fail(SandboxError(f"the sampler failed: {type(error).__name__}: {error}"))
    else:
        _say(Stopped(summary=summary))


def _fail(error: TestbedError) -> None:
    _say(Failed(failure=Failure.of(error)))
    raise SystemExit(1) from error


def _first_line() -> bytes:
    """Read a line from standard input, and no octet after it."""
    line = io.BytesIO()
    while (octet := os.read(_CONTROL, 1)) not in (b"", b"\n"):
        line.write(octet)
    return line.getvalue()


def _say(message: AnyMessage) -> None:
    _messages.write(msgspec.json.encode(message) + b"\n")
    _messages.flush()


if __name__ == "__main__":
    main()
