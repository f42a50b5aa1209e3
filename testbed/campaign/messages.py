"""Messages to and from processes that carry out runs: JSON, one object per line."""

from __future__ import annotations

import os
from collections.abc import Iterator

import msgspec

from testbed.campaign.jobs import Definition, Job
from testbed.experiment.matrix import PlannedRun
from testbed.failure import Failure
from testbed.results.environment import Environment, Software
from testbed.results.model import RunRecord
from testbed.workload.result import Progress


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A job, and the directory for its files."""

    job: Job
    directory: str


class Errand(msgspec.Struct, frozen=True, kw_only=True):
    """The task of a guest.

    :param runs: runs of one experiment, each with the directory for its files.
    :param telling: whether to report the progress of each run. With a virtual clock no message may
        be sent during a run, because the speed of its reader would affect the result.
    :param software: the known facts about the software.
    :param plugins: the plugins that the runs use.
    :param parent: the process to die with, or ``None`` if the parent process ensures that.
    """

    definition: Definition
    runs: tuple[tuple[PlannedRun, str], ...]
    telling: bool
    software: Software
    plugins: dict[str, str]
    parent: int | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """The base of all messages."""


class Located(Message, frozen=True, kw_only=True, tag="located"):
    """The first message of a guest: where the runs happen."""

    environment: Environment


class Enlisted(Message, frozen=True, kw_only=True, tag="enlisted"):
    """A worker of a cluster is accepted, and will get runs."""

    environment: Environment


class Doing(Message, frozen=True, kw_only=True, tag="doing"):
    """The progress of a run."""

    progress: Progress


class Over(Message, frozen=True, kw_only=True, tag="over"):
    """A run is finished, and its other files are in its directory."""

    record: RunRecord


class Failed(Message, frozen=True, kw_only=True, tag="failed"):
    """No further run is possible."""

    failure: Failure


AnyMessage = Located | Enlisted | Doing | Over | Failed

_decoder = msgspec.json.Decoder(AnyMessage)


def say(descriptor: int, message: AnyMessage) -> None:
    """Write a complete message."""
    octets = msgspec.json.encode(message) + b"\n"
    while octets:
        octets = octets[os.write(descriptor, octets) :]


class Messages:
    """Splits a stream of octets into messages."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, octets: bytes) -> Iterator[AnyMessage]:
        """Take the octets that arrived and yield each complete message."""
        *lines, self._rest = (self._rest + octets).split(b"\n")
        for line in lines:
            yield _decoder.decode(line)
