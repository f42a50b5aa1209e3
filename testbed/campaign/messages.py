"""Messages to and from processes that carry out runs: JSON, one object a line."""

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

    :param runs: of one experiment, each with the directory for its files.
    :param telling: say how far each run is.  On a virtual clock nothing may be said during a run:
        how fast it is read would show in the result.
    :param software: what has been found out about it.
    :param plugins: those the runs use.
    :param parent: the process to die with; ``None``: the one that started this one sees to that.
    """

    definition: Definition
    runs: tuple[tuple[PlannedRun, str], ...]
    telling: bool
    software: Software
    plugins: dict[str, str]
    parent: int | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """Base of what is said."""


class Located(Message, frozen=True, kw_only=True, tag="located"):
    """The first thing a guest says: where the runs happen."""

    environment: Environment


class Enlisted(Message, frozen=True, kw_only=True, tag="enlisted"):
    """A worker of a cluster is fit, and will get runs."""

    environment: Environment


class Doing(Message, frozen=True, kw_only=True, tag="doing"):
    """How far a run is."""

    progress: Progress


class Over(Message, frozen=True, kw_only=True, tag="over"):
    """A run is over, and its other files are in its directory."""

    record: RunRecord


class Failed(Message, frozen=True, kw_only=True, tag="failed"):
    """No further run is possible."""

    failure: Failure


AnyMessage = Located | Enlisted | Doing | Over | Failed

_decoder = msgspec.json.Decoder(AnyMessage)


def say(descriptor: int, message: AnyMessage) -> None:
    """Write a message, the whole of it."""
    octets = msgspec.json.encode(message) + b"\n"
    while octets:
        octets = octets[os.write(descriptor, octets) :]


class Messages:
    """Cuts what is said into messages."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, octets: bytes) -> Iterator[AnyMessage]:
        """Take what arrived and yield each complete message."""
        *lines, self._rest = (self._rest + octets).split(b"\n")
        for line in lines:
            yield _decoder.decode(line)
