"""The near end of the sampler process: start it, stop it, and get all it has seen."""

from __future__ import annotations

import asyncio
import sys
from typing import Any, Final, Protocol

import msgspec


class Job(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to sample.

    :param probes: names from :func:`testbed.probe.probes.names`.
    :param nodes: names of network namespaces bound in ``directory``.
    :param options: per probe, what it lets one choose: ``{"pcap": {"snaplen": 128}}``.
    """

    probes: tuple[str, ...]
    nodes: tuple[str, ...]
    interval_ns: int = 100_000_000
    directory: str = "/run/netns"
    options: dict[str, dict[str, Any]] = {}


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a sampler did, its own cost included.

    :param missed: samples that were due while an earlier one was still being taken.
    """

    samples: int
    records: int
    missed: int
    cpu_s: float


class Input(Protocol):
    """A standard input (an :class:`asyncio.StreamWriter` is one)."""

    def write(self, data: bytes) -> None:
        """Queue ``data``."""

    def close(self) -> None:
        """End the input."""


class Process(Protocol):
    """A sampler that was started: standard input and output are pipes."""

    @property
    def stdin(self) -> Input:
        """Its standard input."""

    @property
    def stdout(self) -> asyncio.StreamReader:
        """Its standard output."""


def command(records_fd: int) -> tuple[str, ...]:
    """Return the command line of a sampler that writes records to an inherited descriptor."""
    return (sys.executable, "-m", "testbed.probe.sampler", "--records", str(records_fd))


LIMIT_S: Final = 30.0


class Sampler:
    """A running sampler.  Its records are complete once :meth:`stop` has returned."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, process: Process, job: Job) -> Sampler:
        """Give the process its job; return when every probe is at work and has a first sample.

        :raises PlatformError: a probe cannot work here.
        :raises TestbedError: the process failed.
        """
        raise NotImplementedError

    async def stop(self) -> Summary:
        """Take a last sample, write everything and end.

        :raises TestbedError: a probe or the writing of records failed while it ran.
        """
        raise NotImplementedError
