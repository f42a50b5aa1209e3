"""Whole workloads as processes on the loopback interface."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest

from testbed.document import structured
from testbed.errors import InputError, WorkloadError
from testbed.workload.base import Workload
from testbed.workload.metrics import METRICS
from testbed.workload.result import Progress, WorkloadResult
from testbed.workload.run import run

LOOPBACK = "127.0.0.1"


class Exit(msgspec.Struct):
    returncode: int
    cpu_user_s: float = 0.25
    cpu_system_s: float = 0.5


class Running:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.stdin: Any = process.stdin
        self.stdout: Any = process.stdout
        self.stderr: Any = process.stderr

    async def wait(self) -> Exit:
        return Exit(await self._process.wait())

    async def kill(self, signal: int) -> None:
        if self._process.returncode is None:
            self._process.send_signal(signal)


class Local:
    """Starts programs in this process's network, for any node."""

    def __init__(self) -> None:
        self.started: list[tuple[str, tuple[str, ...]]] = []
        self.processes: list[asyncio.subprocess.Process] = []

    async def spawn(self, node: str, argv: Sequence[str], *, empty_input: bool = False) -> Running:
        self.started.append((node, tuple(argv)))
        pipe = asyncio.subprocess.PIPE
        stdin = asyncio.subprocess.DEVNULL if empty_input else pipe
        process = await asyncio.create_subprocess_exec(*argv, stdin=stdin, stdout=pipe, stderr=pipe)
        self.processes.append(process)
        return Running(process)


class Bench:
    """Runs workloads on a port that it keeps bound: the kernel assigns it to no other socket.

    A server that binds this port with SO_REUSEADDR, as all servers do, may listen on it.
    """

    def __init__(self, reserved: socket.socket) -> None:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind((LOOPBACK, 0))
        self.port = reserved.getsockname()[1]
        self.launcher = Local()
        self.progress: list[Progress] = []

    def run(self, *, stack: str = "tcp", limit_s: float = 30, **fields: Any) -> WorkloadResult:
        workload = structured({"from": "a", "to": "b", "port": self.port, **fields}, Workload)

        async def go() -> WorkloadResult:
            try:
                return await run(
                    workload,
                    stack=stack,
                    address=LOOPBACK,
                    launcher=self.launcher,
                    seed=1,
                    timeout_ns=round(limit_s * 1e9),
                    on_progress=self.progress.append,
                )
            finally:
                assert all(each.returncode is not None for each in self.launcher.processes)

        return asyncio.run(go())


@pytest.fixture
def bench() -> Iterator[Bench]:
    with socket.socket() as reserved:
        yield Bench(reserved)


def test_an_interface_that_is_missing_names_the_end_that_lacks_it(bench: Bench) -> None:
    with pytest.raises(InputError, match=r"^the server on b: there is no interface 'nosuch0'"):
        bench.run(stack="userspace(device=nosuch0)", kind="bulk", size="1KB")


# In seconds: until a test has seen what it wants to, for some machines are slow.
LONGER = (0.5, 2, 8, 32)


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"there is no {program}")


def test_a_bulk_transfer_ends_with_metrics_that_are_registered(bench):
    result = bench.run(kind="bulk", size="4MB")
    assert result.metrics.keys() <= METRICS.keys()
    assert result.metrics["goodput"] == pytest.approx(
        4 * 2**20 * 8 / result.metrics["duration"], rel=1e-6
    )
    assert result.finished_ns - result.started_ns == pytest.approx(
        result.metrics["duration"] * 1e9, abs=2
    )
    (series,) = result.series
    assert (series.node, sum(series.values)) == ("b", 4 * 2**20)
    view = result.details["source"]["view"]["tcp_info"]
    assert view["bytes_sent"] - view["bytes_retrans"] == 4 * 2**20
    assert result.details["source"]["sent"] == result.details["target"]["received"]


def test_progress_begins_with_the_start_and_nothing_done(bench):
    for seconds in LONGER:
        bench.progress.clear()
        result = bench.run(kind="bulk", duration=f"{seconds}s")
        first, *rest = bench.progress
        if rest:
            break
    assert (first.done, first.unit, first.total) == (0, "octets", None)
    assert {each.started_ns for each in bench.progress} == {result.started_ns}
    assert rest
    assert rest[-1].done > 0


def test_the_latencies_of_every_transaction_are_kept(bench):
    result = bench.run(kind="reqres", count=20, reconnect=True)
    assert len(result.samples_ns["latency"]) == 20
    assert result.metrics["transactions"] == 20


def test_the_delays_of_a_stream_are_of_one_clock(bench):
    before_ns = time.monotonic_ns()
    result = bench.run(kind="stream", block=1000, rate="8mbit", count=50)
    elapsed_ns = time.monotonic_ns() - before_ns
    assert all(0 < delay_ns < elapsed_ns for delay_ns in result.samples_ns["block_delay"])


def test_a_port_in_use_is_said_by_the_server(bench):
    with socket.create_server((LOOPBACK, bench.port)), pytest.raises(WorkloadError) as caught:
        bench.run(kind="bulk", size="1MB")
    assert "the server" in str(caught.value)
    assert "in use" in str(caught.value)


def test_an_unknown_stack_is_refused_before_anything_starts(bench):
    with pytest.raises(InputError, match="there is no stack 'quic'"):
        bench.run(kind="bulk", size="1MB", stack="quic")
    assert not bench.launcher.started


def test_a_worker_that_dies_is_named(bench, monkeypatch):
    monkeypatch.setattr("testbed.workload.pair.COMMAND", (sys.executable, "-c", "raise Oops"))
    with pytest.raises(WorkloadError) as caught:
        bench.run(kind="bulk", size="1MB")
    assert str(caught.value) == (
        "the server on b ended with exit status 1: NameError: name 'Oops' is not defined"
    )


def test_when_time_is_over_each_half_says_what_it_waited_for(bench):
    halves = r".*the client .*waiting for .*; .*the server .*waiting for "
    for limit_s in LONGER:
        with pytest.raises(WorkloadError) as caught:
            bench.run(kind="stream", block=1000, rate="8kbit", count=100, limit_s=limit_s)
        if re.match(halves, str(caught.value)):  # both had started by then
            break
    assert re.match(halves, str(caught.value))


def test_a_command_gives_what_its_programs_said(bench):
    result = bench.run(
        kind="command",
        programs=[
            {
                "node": "b",
                "argv": [sys.executable, "-um", "http.server", "--bind", "{address}", "{port}"],
                "ready": bench.port,
            },
            {"node": "a", "argv": ["sh", "-c", "echo {seed} at {address}"], "ends": True},
        ],
    )
    server, client = result.details["programs"]
    assert (client["exit_status"], client["stdout"]) == (0, "1 at 127.0.0.1\n")
    assert server["exit_status"] is None
    assert "Serving HTTP" in server["stdout"]
    assert result.metrics["cpu_source"] == 0.75


def test_a_command_s_input_is_empty(bench):
    argv = ["sh", "-c", "readlink /proc/self/fd/0; cat"]
    result = bench.run(kind="command", programs=[{"node": "a", "argv": argv}])
    assert result.details["programs"][0]["stdout"] == "/dev/null\n"


def test_a_command_waits_for_words(bench):
    words = "import signal; print('getting'); print('ready now', flush=True); signal.pause()"
    result = bench.run(
        kind="command",
        programs=[
            {"node": "b", "argv": [sys.executable, "-c", words], "ready": "ready n.w"},
            {"node": "a", "argv": ["true"], "ends": True},
        ],
    )
    assert result.details["programs"][0]["stdout"] == "getting\nready now\n"


def test_all_programs_end_by_themselves_where_none_ends_the_run(bench):
    result = bench.run(
        kind="command",
        programs=[{"node": "b", "argv": ["echo", "{}"]}, {"node": "a", "argv": ["true"]}],
    )
    assert [each["exit_status"] for each in result.details["programs"]] == [0, 0]
    assert result.details["programs"][0]["stdout"] == "{}\n"


@pytest.mark.parametrize(
    ("programs", "words"),
    [
        (
            [{"node": "a", "argv": ["sh", "-c", "echo it broke >&2; exit 3"], "ends": True}],
            "on a ended with exit status 3 saying 'it broke'",
        ),
        (
            [{"node": "b", "argv": ["true"], "ready": "never"}, {"node": "a", "argv": ["true"]}],
            "`true` on b ended with exit status 0 before writing 'never'",
        ),
        (
            [{"node": "b", "argv": ["sh", "-c", "kill -9 $$"]}],
            "on b was killed by SIGKILL",
        ),
    ],
)
def test_a_command_that_fails_says_how(bench, programs, words):
    with pytest.raises(WorkloadError) as caught:
        bench.run(kind="command", programs=programs)
    assert words in str(caught.value)


def test_a_command_that_goes_on_is_stopped(bench):
    with pytest.raises(WorkloadError, match=r"`sleep 1000` on a did not end within 1 s"):
        bench.run(kind="command", programs=[{"node": "a", "argv": ["sleep", "1000"]}], limit_s=1)


@pytest.mark.parametrize(
    ("ready", "words"),
    [
        (4999, "`sleep 1000` on b did not listen on port 4999 within 1 s"),
        ("at last", "`sleep 1000` on b did not write 'at last' within 1 s"),
    ],
)
def test_a_program_that_is_never_ready_is_named(bench, ready, words):
    sleeper = {"node": "b", "argv": ["sleep", "1000"], "ready": ready}
    with pytest.raises(WorkloadError) as caught:
        bench.run(kind="command", programs=[sleeper, {"node": "a", "argv": ["true"]}], limit_s=1)
    assert str(caught.value) == words


@needs("iperf3")
@pytest.mark.parametrize("direction", ["forward", "reverse", "both"])
def test_iperf3_is_read_at_the_receiver(bench, direction):
    result = bench.run(kind="iperf3", size="8MB", direction=direction)
    source = result.details["source"]["iperf3"]["end"]
    target = result.details["target"]["iperf3"]["end"]
    received = {
        "forward": [target["sum_received"]],
        "reverse": [source["sum_received"]],
        "both": [target["sum_received"], source.get("sum_received_bidir_reverse")],
    }[direction]
    assert all(way["bytes"] > 0 for way in received)
    assert result.metrics["goodput"] == sum(way["bits_per_second"] for way in received)
    assert result.metrics.keys() <= METRICS.keys()


@needs("iperf3")
def test_what_iperf3_complains_of_is_passed_on(bench):
    with pytest.raises(WorkloadError, match="iperf3"):
        bench.run(kind="iperf3", size="1MB", options=["--nonsense"])
