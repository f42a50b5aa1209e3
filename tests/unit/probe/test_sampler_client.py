"""The near end of the sampler, against a sampler that is made up."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest

from testbed.errors import InputError, PlatformError, SandboxError, TestbedError
from testbed.failure import Failure
from testbed.probe.client import Job, Sampler, Summary
from testbed.probe.messages import Failed

READY = b'{"event": "ready"}\n'
SUMMARY = {"samples": 3, "records": 9, "missed": 0, "cpu_s": 0.5}
STOPPED = json.dumps({"event": "stopped", "summary": SUMMARY}).encode() + b"\n"


def failed(error: TestbedError) -> bytes:
    return msgspec.json.encode(Failed(failure=Failure.of(error))) + b"\n"


class Stdin:
    def __init__(self) -> None:
        self.data = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        self.data += data

    def close(self) -> None:
        self.closed = True


class Made:
    """A process that has already said everything."""

    def __init__(self, said: bytes) -> None:
        self.stdin = Stdin()
        self.stdout = asyncio.StreamReader()
        self.stdout.feed_data(said)
        self.stdout.feed_eof()


JOB = Job(probes=("cpu",), nodes=("a",))


def test_it_is_given_its_job_and_told_to_stop():
    async def go() -> tuple[Summary, Stdin]:
        process = Made(READY + STOPPED)
        sampler = await Sampler.start(process, JOB)
        assert not process.stdin.closed
        return await sampler.stop(), process.stdin

    summary, stdin = asyncio.run(go())
    assert summary == Summary(**SUMMARY)
    assert stdin.closed
    assert json.loads(stdin.data)["probes"] == ["cpu"]
    assert stdin.data.endswith(b"\n")


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (b"", SandboxError, "without a message"),
        (
            b'{"event": "stopped", "summary": ' + json.dumps(SUMMARY).encode() + b"}\n",
            SandboxError,
            "unexpected message",
        ),
        (failed(InputError("no such node")), InputError, "no such node"),
        (
            failed(PlatformError("no tcpdump", why="pcap", instead="get it")),
            PlatformError,
            "no tcpdump: pcap; get it",
        ),
    ],
)
def test_a_sampler_that_does_not_start_says_why(said, kind, words):
    async def go() -> None:
        await Sampler.start(Made(said), JOB)

    with pytest.raises(kind, match=words):
        asyncio.run(go())


def test_a_failure_while_it_ran_comes_with_the_stop():
    async def go() -> None:
        full = failed(SandboxError("OSError: No space left on device"))
        sampler = await Sampler.start(Made(READY + full), JOB)
        await sampler.stop()

    with pytest.raises(SandboxError, match="No space left"):
        asyncio.run(go())
