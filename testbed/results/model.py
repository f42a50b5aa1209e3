"""The contents of a result folder, as types. Each file contains the version of its schema."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec

from testbed.metric import LARGEST, Metric
from testbed.wire.netem import WireCounters

SCHEMA: Final = 2  # results/upgrade.py reads earlier ones
WORKLOAD: Final = "workload"  # the name of the only flow of an experiment that names no flows
STACK_PREFIX: Final = "stack."  # the prefix of parameters that are options of the stack under test
Scalar = str | int | float | bool | None
Number = Annotated[float, msgspec.Meta(ge=-LARGEST, le=LARGEST)]  # the value of a metric


class Status(enum.StrEnum):
    """The outcome of a run. Only ``ok`` runs count in a mean."""

    OK = "ok"
    FAILED = "failed"  # the workload failed, timed out or delivered wrong octets
    INVALID = "invalid"  # the workload ran, but no proof shows that the right protocol ran


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One point of the matrix: a stack, and a value for each parameter that it has.

    :param stack: the label of the stack under test.
    """

    stack: str
    parameters: dict[str, Scalar]

    @property
    def point(self) -> dict[str, Scalar]:
        """The parameters except options of the stack. Cells with the same point are compared."""
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
    """Return the identity of a cell, as text; ``1``, ``1.0``, ``"1"`` and ``true`` differ."""
    return msgspec.json.encode([stack, sorted(parameters.items())]).decode()


class EventRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An event as it took place. Times are in nanoseconds from the start of the workload.

    :param error: the error of the event, if any; then the run has failed.
    """

    planned_ns: int
    started_ns: int
    finished_ns: int
    action: str
    error: str | None = None


class WireRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One direction of a link at the end of a run; ``toward`` is a node."""

    link: str
    toward: str
    engine: str
    netem: str
    counters: WireCounters


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """The evidence for the protocol that ran.

    :param expected_subflows: how many subflows a connection had to have.
    :param subflows: the largest number of subflows seen at the same time, including the first.
    :param fell_back: whether a connection fell back to plain TCP (RFC 8684, section 3.7); ``None``
        if it was not MPTCP.
    :param counters: the increase during the run of the MIB counters that are evidence, per node.
    """

    expected_subflows: int | None = None
    subflows: int | None = None
    fell_back: bool | None = None
    counters: dict[str, dict[str, int]] = {}


class StackRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A stack in a run.

    :param name: the name of the stack: ``userspace``, ``mptcp/userspace``.
    :param stands_for: the fixed stack that a flow asked for, if another one carried it.
    :param options: the requested options.
    :param used: the options in use, read back per end, ``source`` and ``target``.
    """

    name: str
    stands_for: str | None = None
    options: dict[str, Scalar] = {}
    used: dict[str, dict[str, Scalar]] = {}


class PathRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A path through the topology that a subflow of a flow can take.

    :param link: the first link from the source; ``links`` holds all links to the target.
    :param source: an address of the flow's source; ``destination`` is one of its target.
    :param forward: the lowest rate towards the target in bit/s; ``None`` if none is set.
    :param reverse: the lowest rate towards the source.
    """

    link: str
    links: tuple[str, ...] = ()
    source: str
    destination: str
    forward: int | None = None
    reverse: int | None = None


class FlowRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One flow of a run.

    :param kind: the kind of its workload.
    :param source: the node that connects; ``target`` is the node that listens on ``port``.
    :param background: whether it is background traffic: it must succeed, but the run is not about
        it.
    :param paths: the paths that its subflows can take.
    :param details: the reports of both ends or of the programs.
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
    """The counters of a middlebox of a link in a run, in the order of the topology.

    :param came: segments that arrived at the middlebox; ``left`` counts those that left it.
    :param changed: segments that left it changed.
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
    :param seconds: the duration of the run, including the setup and the checks of the network.
    :param zero_ns: CLOCK_MONOTONIC at the start of the workload; every other time in the folder
        is relative to it.
    :param metrics: the metrics by name, in the units of :mod:`testbed.analysis.registry`.
    :param stacks: the stack of each flow.
    :param flows: every flow; :data:`WORKLOAD` alone if the experiment names none.
    :param addresses: the link for each address of the flows' ends.
    :param counters: per node, the increase of each counter of nstat(8) that changed.
    :param sysctls: per node, the values during the run of the sysctls that affect the result.
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
        """The congestion controls of the foreground flows, as the stacks reported them."""
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
        """The engines that shaped the links of this run: ``emulator``, ``netem`` or ``none``."""
        return "+".join(sorted({wire.engine for wire in self.wires})) or "none"

    @property
    def subflows(self) -> tuple[int, ...]:
        """The distinct numbers of subflows of its foreground flows, without 0."""
        seen = {flow.proof.subflows for flow in self.flows.values() if not flow.background}
        return tuple(sorted(count for count in seen if count))


class ExperimentRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The experiment as ``experiment.json``, sufficient to run it again.

    It needs no other files, except traces. Their absolute paths are recorded.

    :param name: the name of the experiment: its file name without the suffix.
    :param topology: the name of the topology.
    :param spec: the experiment file as plain data, with the topology and all overrides in it.
    :param metrics: the metrics of other packages, so that their numbers can be read without these.
    """

    schema: int = SCHEMA
    name: str
    topology: str
    spec: dict[str, Any]
    created_at: str  # UTC, ISO 8601
    version: str  # the version of testbed
    metrics: dict[str, Metric] = {}

    @property
    def digest(self) -> str:
        """The SHA-256 of ``spec``, in hexadecimal. Equal specifications have equal digests."""
        return hashlib.sha256(msgspec.json.encode(self.spec, order="sorted")).hexdigest()
