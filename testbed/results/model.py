"""The contents of a result folder, as types.  Every file says the version of its schema."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec

from testbed.metric import LARGEST, Metric
from testbed.wire.netem import WireCounters

SCHEMA: Final = 2  # results/upgrade.py reads those before
WORKLOAD: Final = "workload"  # the name of the one flow of an experiment that names none
STACK_PREFIX: Final = "stack."  # of a parameter that is an option of the stack under test
Scalar = str | int | float | bool | None
Number = Annotated[float, msgspec.Meta(ge=-LARGEST, le=LARGEST)]  # a value of a metric


class Status(enum.StrEnum):
    """The outcome of a run; only those that are ``ok`` enter a mean."""

    OK = "ok"
    FAILED = "failed"  # the workload failed, timed out or delivered wrong bytes
    INVALID = "invalid"  # it ran, but there is no proof that it ran what it should have


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One point of the matrix: a stack, and a value for each parameter that it has.

    :param stack: the label of the stack under test.
    """

    stack: str
    parameters: dict[str, Scalar]

    @property
    def point(self) -> dict[str, Scalar]:
        """The parameters that are not the stack's own: cells with equal ones are compared."""
        return {
            name: value
            for name, value in self.parameters.items()
            if not name.startswith(STACK_PREFIX)
        }

    @property
    def identity(self) -> str:
        """The identity of the cell, as text: equal for the same stack and the same parameters."""
        return identity(self.stack, self.parameters)


def identity(stack: str, parameters: Mapping[str, Scalar]) -> str:
    """Return what tells a cell from others; ``1``, ``1.0``, ``"1"`` and ``true`` differ."""
    return msgspec.json.encode([stack, sorted(parameters.items())]).decode()


class EventRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An event as it really happened; times in nanoseconds from the start of the workload.

    :param error: what went wrong with it; the run is then failed.
    """

    planned_ns: int
    started_ns: int
    finished_ns: int
    action: str
    error: str | None = None


class WireRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One direction of one link at the end of a run; ``toward`` is a node."""

    link: str
    toward: str
    engine: str
    netem: str
    counters: WireCounters


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """The evidence of the protocol that ran.

    :param expected_subflows: how many subflows a connection must have had.
    :param subflows: the most that were seen at the same time, the first included.
    :param fell_back: a connection went on as plain TCP (RFC 8684, section 3.7); ``None`` where
        MPTCP was not spoken.
    :param counters: the MIB counters it rests on, per node: how far each moved during the run.
    """

    expected_subflows: int | None = None
    subflows: int | None = None
    fell_back: bool | None = None
    counters: dict[str, dict[str, int]] = {}


class StackRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A stack in a run.

    :param name: of the stack itself: ``userspace``, ``mptcp/userspace``.
    :param stands_for: the fixed stack that a flow asked for, where another one carried it.
    :param options: what was asked of it.
    :param used: what it used, read back: per end, ``source`` and ``target``.
    """

    name: str
    stands_for: str | None = None
    options: dict[str, Scalar] = {}
    used: dict[str, dict[str, Scalar]] = {}


class PathRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One way through the network, as the topology has it, that a subflow of a flow can take.

    :param link: the source's first; ``links`` all on the way to the target.
    :param source: an address of the flow's source; ``destination`` one of its target.
    :param forward: the least rate on the way to the target in bit/s; ``None`` where none is set.
    :param reverse: the same on the way back.
    """

    link: str
    links: tuple[str, ...] = ()
    source: str
    destination: str
    forward: int | None = None
    reverse: int | None = None


class FlowRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One flow of a run.

    :param kind: of its workload.
    :param source: the node that connects; ``target`` the one that listens, on ``port``.
    :param background: it had to work, but it is not what the run is about.
    :param paths: the ways its subflows can take.
    :param details: what both ends or the programs said.
    """

    kind: str
    source: str
    target: str
    port: int | None = None
    background: bool = False
    paths: tuple[PathRecord, ...] = ()
    proof: Proof = Proof()
    details: dict[str, Any] = {}


class BoxRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a middlebox of a link did in a run; they stand in the order of the topology.

    :param came: segments that came to it; ``left`` those that left it.
    :param changed: those that left it and are not as they came.
    """

    link: str
    kind: str
    came: int
    left: int
    changed: int


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One run: ``runs/NNNN/run.json``.

    :param stack: the label of the stack under test.
    :param reason: why the run is not ``ok``, in one sentence.
    :param started_at: UTC, ISO 8601.
    :param seconds: of the whole run, building and verifying the network included.
    :param zero_ns: CLOCK_MONOTONIC at the start of the workload; every other time in the folder
        is relative to it.
    :param metrics: by name, in the units of :mod:`testbed.analysis.registry`.
    :param stacks: the stack of each flow.
    :param flows: every flow; :data:`WORKLOAD` alone where the experiment names none.
    :param addresses: the link of each address of the flows' ends.
    :param counters: per node, every counter of nstat(8) that moved, and by how much.
    :param sysctls: per node, those that bear on the result, as they were during the run.
    :param cpu: CPU seconds of the emulator and of the sampler.
    :param busy: the share of the workload's time in which the machine's processors were not idle.
    :param load: the machine's load average over a minute, before and after.
    """

    schema: int = SCHEMA
    number: int
    stack: str
    parameters: dict[str, Scalar]
    repetition: int
    seed: int
    status: Status
    reason: str | None = None
    started_at: str
    seconds: float
    zero_ns: int | None = None
    metrics: dict[str, Number] = {}
    stacks: dict[str, StackRecord] = {}
    flows: dict[str, FlowRecord] = {}
    addresses: dict[str, str] = {}
    events: tuple[EventRecord, ...] = ()
    wires: tuple[WireRecord, ...] = ()
    boxes: tuple[BoxRecord, ...] = ()
    counters: dict[str, dict[str, int]] = {}
    sysctls: dict[str, dict[str, str]] = {}
    cpu: dict[str, float] = {}
    busy: float | None = None
    load: tuple[float, float] = (0.0, 0.0)

    @property
    def identity(self) -> str:
        """The identity of its cell, as :attr:`Cell.identity`."""
        return identity(self.stack, self.parameters)

    @property
    def congestion(self) -> tuple[str, ...]:
        """The congestion controls that the flows in the foreground used, by the senders' word."""
        subjects = [name for name, flow in self.flows.items() if not flow.background]
        used = (
            options.get("congestion")
            for name in subjects
            if name in self.stacks
            for options in self.stacks[name].used.values()
        )
        return tuple(dict.fromkeys(name for name in used if isinstance(name, str)))

    @property
    def engine(self) -> str:
        """The engines that shaped this run's links: ``emulator``, ``netem`` or ``none``."""
        return "+".join(sorted({wire.engine for wire in self.wires})) or "none"

    @property
    def subflows(self) -> tuple[int, ...]:
        """Every number of subflows that its flows had, where that is a question; no background."""
        seen = {flow.proof.subflows for flow in self.flows.values() if not flow.background}
        return tuple(sorted(count for count in seen if count))


class ExperimentRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The question: ``experiment.json``, enough to run it again.

    No other file is needed, except traces: those are named by their absolute paths.

    :param name: of the experiment: its file's name without the suffix.
    :param topology: the name of the topology.
    :param spec: the experiment file as plain data, with the topology and all overrides in it.
    :param metrics: those of other packages, so that their numbers can be read without these.
    """

    schema: int = SCHEMA
    name: str
    topology: str
    spec: dict[str, Any]
    created_at: str  # UTC, ISO 8601
    version: str  # of testbed
    metrics: dict[str, Metric] = {}

    @property
    def digest(self) -> str:
        """SHA-256 of ``spec``, in hexadecimal: equal where the same was asked for."""
        return hashlib.sha256(msgspec.json.encode(self.spec, order="sorted")).hexdigest()
