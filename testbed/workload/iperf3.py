"""iperf3(1) at both ends, with its reports in JSON."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import msgspec

from testbed.errors import PlatformError, WorkloadError
from testbed.workload.external import (
    Capture,
    captured,
    complaint,
    progress_of_time,
    until_listening,
)
from testbed.workload.flow import Flow
from testbed.workload.launcher import Launcher
from testbed.workload.program_report import ReportFolder
from testbed.workload.result import OnProgress, WorkloadResult
from testbed.workload.spec import Iperf3
from testbed.workload.stacks.model import Stack
from testbed.workload.stacks.registry import stack
from testbed.workload.transfer import sleep_until

PROGRAM: Final = "iperf3"
_OPTION: Final = {"forward": (), "reverse": ("--reverse",), "both": ("--bidir",)}
# For each direction and way: the end whose report has the received octets, and their key.
_RECEIVED: Final = {
    "forward": {"forward": ("target", "sum_received")},
    "reverse": {"reverse": ("source", "sum_received")},
    "both": {
        "forward": ("target", "sum_received"),
        "reverse": ("source", "sum_received_bidir_reverse"),
    },
}


@contextlib.asynccontextmanager
async def prepared(
    flow: Flow, workload: Iperf3, launcher: Launcher, timeout_ns: int, on_progress: OnProgress
) -> AsyncIterator[Test]:
    """Start a server for one test. Inside the context it listens.

    :raises PlatformError: iperf3 is not installed.
    :raises WorkloadError: the server does not listen in time.
    """
    if shutil.which(PROGRAM) is None:
        raise PlatformError(
            "iperf3 is not installed",
            why="the workload runs it",
            instead="install it (Debian: apt install iperf3), or use the bulk workload",
        )
    source, target = (stack(end.name, end.decoded) for end in flow.stack.ends)
    async with contextlib.AsyncExitStack() as programs:
        reports = programs.enter_context(ReportFolder())
        test = Test(workload, launcher, reports, timeout_ns, on_progress)
        with test.limited():
            async with asyncio.timeout(timeout_ns / 1e9):
                await test.listen(programs, target)
                await test.get_ready(source, flow.address)
        yield test


class Test:
    """A test: its running server, and the client to start."""

    __test__ = False  # the name starts with "Test", but this is no test class

    def __init__(
        self,
        workload: Iperf3,
        launcher: Launcher,
        reports: ReportFolder,
        timeout_ns: int,
        on_progress: OnProgress,
    ) -> None:
        self._workload = workload
        self._launcher = launcher
        self._reports = reports
        self._timeout_ns = timeout_ns
        self._on_progress = on_progress
        self._waiting_for = "the options of iperf3"
        self._server: Capture
        self._client: tuple[str, ...] = ()

    async def listen(self, programs: contextlib.AsyncExitStack, stack: Stack) -> None:
        """Start the server, and wait until it listens. It ends with ``programs``."""
        workload, launcher = self._workload, self._launcher
        argv = await self._on_stack(stack, workload.target, _server(workload))
        self._server = await programs.enter_async_context(captured(launcher, workload.target, argv))
        self._waiting_for = f"its server on {workload.target} to listen"
        await until_listening(launcher, self._server, workload.target, _port(workload))

    async def get_ready(self, stack: Stack, address: str) -> None:
        """Determine the command line of the client."""
        workload = self._workload
        argv = _client(workload, address)
        self._client = await self._on_stack(stack, workload.source, argv)

    async def _on_stack(self, stack: Stack, node: str, argv: tuple[str, ...]) -> tuple[str, ...]:
        """Use iperf3's own option for the stack if it has one, else the stack's wrapper."""
        if stack.program_option is not None:
            async with captured(self._launcher, node, (PROGRAM, "--help")) as usage:
                await usage.ended()
                if stack.program_option in usage.text:
                    return (*argv, stack.program_option)
        return stack.command(argv, self._reports.further(node))

    async def run(self, zero_ns: int) -> WorkloadResult:
        """Start the client on time, wait for its end, and read both reports."""
        workload = self._workload
        with self.limited():
            async with asyncio.timeout((self._timeout_ns + workload.start_ns) / 1e9):
                await sleep_until(zero_ns + workload.start_ns)
                async with captured(self._launcher, workload.source, self._client) as client:
                    with progress_of_time(self._on_progress, _seconds(workload)) as started_ns:
                        self._waiting_for = f"its client on {workload.source} to end"
                        source = await _account(client)
                        finished_ns = time.monotonic_ns()
                        self._waiting_for = f"its server on {workload.target} to end"
                        target = await _account(self._server)
        accounts = {"source": source, "target": target}
        seen = self._reports.details({"source": workload.source, "target": workload.target})
        return WorkloadResult(
            started_ns=started_ns,
            finished_ns=finished_ns,
            metrics={
                **_metrics(workload.direction, source.json["end"], target.json["end"]),
                **{f"cpu_{end}": said.cpu_s for end, said in accounts.items()},
            },
            records=tuple(self._reports.records()),
            details={end: said.details | seen.get(end, {}) for end, said in accounts.items()},
        )

    async def finish(self) -> None:
        """Do nothing, because a test ends by itself."""

    @contextlib.contextmanager
    def limited(self) -> Iterator[None]:
        """Turn a timeout into an error that names the awaited event."""
        try:
            yield
        except TimeoutError:
            raise WorkloadError(
                f"iperf3 timed out after {self._timeout_ns / 1e9:g} s "
                f"while waiting for {self._waiting_for}"
            ) from None


class _Account(msgspec.Struct, frozen=True):
    """The report and the CPU time of one end."""

    program: str
    json: dict[str, Any]
    cpu_s: float

    @property
    def details(self) -> dict[str, Any]:
        return {"program": self.program, "iperf3": self.json}


def _server(workload: Iperf3) -> tuple[str, ...]:
    return (PROGRAM, "--server", "--one-off", "--json", "--port", str(_port(workload)))


def _port(workload: Iperf3) -> int:
    return workload.port or workload.usual_port


def _seconds(workload: Iperf3) -> int | None:
    return None if workload.duration_ns is None else workload.duration_ns // 1_000_000_000


def _client(workload: Iperf3, address: str) -> tuple[str, ...]:
    if workload.octets is not None:
        amount = ("--bytes", str(workload.octets))
    else:
        amount = ("--time", str(_seconds(workload)))
    return (
        PROGRAM,
        *("--client", address, "--json", "--port", str(_port(workload))),
        *amount,
        *("--parallel", str(workload.parallel)),
        *_OPTION[workload.direction],
        *workload.options,
    )


async def _account(capture: Capture) -> _Account:
    """Wait for the program and parse its JSON, which may have an error despite exit status 0."""
    exit_ = await capture.ended()
    try:
        said: dict[str, Any] = msgspec.json.decode(capture.text)
    except msgspec.DecodeError:
        raise WorkloadError(complaint(capture, exit_)) from None
    if "error" in said:
        raise WorkloadError(f"{capture.program.name} failed: {said['error']}")
    if exit_.returncode != 0:
        raise WorkloadError(complaint(capture, exit_))
    protocol = said["start"]["test_start"]["protocol"]
    if protocol != "TCP":
        raise WorkloadError(f"{capture.program.name} tested {protocol}, not TCP")
    return _Account(capture.program.name, said, exit_.cpu_user_s + exit_.cpu_system_s)


def _metrics(direction: str, source: dict[str, Any], target: dict[str, Any]) -> dict[str, float]:
    """Return iperf3's results: received octets by the receiver's own count and clock.

    Its goodput is over the time of the test, which excludes the connection's handshake.
    """
    ends = {"source": source, "target": target}
    ways = {way: ends[end][name] for way, (end, name) in _RECEIVED[direction].items()}
    goodputs = {f"goodput_{way}": said["bits_per_second"] for way, said in ways.items()}
    sent = (source.get(name, {}) for name in ("sum_sent", "sum_sent_bidir_reverse"))
    return {
        **(goodputs if len(goodputs) > 1 else {}),
        "goodput": sum(goodputs.values()),
        "duration": max(said["seconds"] for said in ways.values()),
        "retransmits": sum(said.get("retransmits", 0) for said in sent),
    }
