"""The near end of the sampler, against a sampler that is made up."""

from __future__ import annotations

import asyncio
import json

import pytest

from testbed.errors import InputError, PlatformError, SandboxError
from testbed.probe.client import Job, Sampler, Summary
from testbed.probe.messages import Failed

READY = b'{"event": "ready"}\n'
SUMMARY = {"samples": 3, "records": 9, "missed": 0, "cpu_s": 0.5}
STOPPED = json.dumps({"event": "stopped", "summary": SUMMARY}).encode() + b"\n"


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
        (b"", SandboxError, "without a word"),
        (
            b'{"event": "stopped", "summary": ' + json.dumps(SUMMARY).encode() + b"}\n",
            SandboxError,
            "out of turn",
        ),
        (b'{"event": "failed", "message": "no such node"}\n', SandboxError, "no such node"),
        (
            b'{"event": "failed", "message": "x", "platform": ["no tcpdump", "pcap", "get it"]}\n',
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
        failed = b'{"event": "failed", "message": "OSError: No space left on device"}\n'
        sampler = await Sampler.start(Made(READY + failed), JOB)
        await sampler.stop()

    with pytest.raises(SandboxError, match="No space left"):
        asyncio.run(go())


@pytest.mark.parametrize(
    "error",
    [
        PlatformError("no tcpdump", why="pcap", instead="get it"),
        InputError("bad option", hint="leave it out"),
        OSError(28, "No space left on device"),
    ],
)
def test_whatever_goes_wrong_keeps_its_words(error):
    again = Failed.of(error).error()
    assert str(error).partition(";")[0] in str(again)
    assert isinstance(again, PlatformError) == isinstance(error, PlatformError)
