"""``python -m testbed.wire.emulator --control FD``: runs until the other end of FD is closed."""

from __future__ import annotations

import gc
import os
import resource
import signal
import socket
import sys

from testbed.errors import InputError, SandboxError
from testbed.failure import Failure
from testbed.libc import set_timer_slack
from testbed.wire.emulator.loop import Loop
from testbed.wire.emulator.messages import (
    END,
    Add,
    Begin,
    Done,
    Failed,
    Read,
    Reply,
    Report,
    Request,
    Set,
    decode_request,
    encode,
)


class Server:
    """Executes the requests of the control socket."""

    def __init__(self, control: socket.socket, scheduling: str) -> None:
        self._control = control
        self._scheduling = scheduling
        self._received = bytearray()
        self.loop = Loop(control.fileno(), self.serve)

    def serve(self) -> bool:
        """Answer the received requests; return False after the end of the connection."""
        try:
            data = self._control.recv(2**16)
        except ConnectionError:
            return False
        if not data:
            return False
        self._received += data
        *lines, self._received = self._received.split(END)
        try:
            for line in lines:
                self._control.sendall(encode(self._answer(decode_request(line))) + END)
        except ConnectionError:
            return False
        return True

    def _answer(self, request: Request) -> Reply:
        if isinstance(request, Read):
            return self._report()
        try:
            self._change(request)
        except InputError as error:
            return Failed(failure=Failure.of(error))
        except (OSError, SandboxError) as error:
            about = "the wires" if isinstance(request, Begin) else f"wire {request.link!r}"
            refusal = SandboxError(f"{about}: {error}")
            return Failed(failure=Failure.of(refusal))
        gc.collect()
        return Done()

    def _change(self, request: Add | Set | Begin) -> None:
        if isinstance(request, Add):
            self.loop.add(request)
        elif isinstance(request, Begin):
            self.loop.begin_traces()
        else:
            self.loop.change(request.link, request.toward, request.netem)

    def _report(self) -> Report:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return Report(
            directions=self.loop.report(),
            boxes=self.loop.work(),
            cpu_seconds=usage.ru_utime + usage.ru_stime,
            scheduling=self._scheduling,
        )


def keep_time() -> str:
    """Request a scheduling policy that keeps deadlines; return the granted one."""
    set_timer_slack(1)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        try:
            os.setpriority(os.PRIO_PROCESS, 0, -20)
        except OSError:
            return "normal"
        return "nice"
    return "fifo"


def main() -> None:
    """Run the emulator."""
    if len(sys.argv) != 3 or sys.argv[1] != "--control" or not sys.argv[2].isdecimal():
        sys.exit("usage: python -m testbed.wire.emulator --control FD")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent process
    server = Server(socket.socket(fileno=int(sys.argv[2])), keep_time())
    # Nothing in the loop makes reference cycles; collections would only delay frames.
    gc.disable()
    gc.freeze()
    server.loop.run()


if __name__ == "__main__":
    main()
