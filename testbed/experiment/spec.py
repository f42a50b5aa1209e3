"""The types of an experiment file: the only description of the YAML.

Types and ranges are checked here. ``load`` checks everything that depends on the topology (names of
nodes and links), for every cell of the matrix, before anything is started.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec

from testbed.analysis.claims import ExpectSpec
from testbed.document import join_path
from testbed.errors import InputError
from testbed.probe.probes import PROBES
from testbed.results.model import Scalar
from testbed.topology.spec import EndpointSpec, QueueSpec
from testbed.units import parse_time
from testbed.workload.base import Workload
from testbed.workload.flow import WORKLOAD
from testbed.workload.stacks.choice import StackChoice, read

ValuePath = Annotated[str, msgspec.Meta(min_length=1)]  # of a value that cells set
FlowName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z][\w-]*$", max_length=40)]
Values = Annotated[list[Scalar], msgspec.Meta(min_length=1)]

# All but packet capture, which has its own key. The runner polls wires.
WIRE: Final = "wire"
PACKETS: Final = "packets"  # in simulations only
DEFAULT_PROBES: Final = (*(name for name in PROBES.own() if name != "pcap"), WIRE)
CASE: Final = "case"  # the parameter that says which of the cases a run is
REPETITIONS: Final = 10  # enough to find a change of 10 %: tests/unit/analysis/test_calibration.py
MAX_SUBFLOWS: Final = 9  # the first one, and net.mptcp's limit of 8 more


class EndpointAddress(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The MPTCP endpoints of an interface."""

    interface: str


class InterfaceAddress(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An address of an interface, with its prefix length."""

    interface: str
    address: str


class EndpointFlags(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Flags of the endpoints of an interface. Other flags stay as they are.

    :param backup: whether the peer should use the subflows only as backup (MP_PRIO).
    :param fullmesh: whether each endpoint opens a subflow to each address of the peer, or to one.
    """

    interface: str
    backup: bool | None = None
    fullmesh: bool | None = None

    def __post_init__(self) -> None:
        if not str(self):
            raise InputError("no flag is given", hint="write backup: true, or fullmesh: false")

    def __str__(self) -> str:
        named = (("backup", self.backup), ("fullmesh", self.fullmesh))
        return " ".join(f"{'' if on else 'no'}{name}" for name, on in named if on is not None)


ACTIONS: Final = {
    "link": ("set", "state"),
    "node": (
        "add_address",
        "remove_address",
        "add_endpoint",
        "remove_endpoint",
        "set_endpoint",
        "run",
    ),
}


class EventSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A timed change: the time ``at``, a ``link`` or a ``node``, and exactly one action.

    Actions of a link:

    :param set: netem options to change, in both directions or ``toward`` a node. Other options
        keep their values.
    :param state: ``down`` and ``up`` set both ends like ``ip link set``, which the hosts notice.
        ``blackhole`` drops every packet, and no host is informed.  ``up`` ends both.

    Actions of a node:

    :param add_endpoint: an endpoint, as in ``mptcp.endpoints`` of a topology.
    :param set_endpoint: change the endpoints of an interface, like ``ip mptcp endpoint change``.
    :param run: a program to start. It is killed at the end of the run if it still runs.
    """

    at: str | int
    link: str | None = None
    node: str | None = None
    toward: str | None = None
    set: dict[str, str | int | float | QueueSpec] | None = None
    state: Literal["up", "down", "blackhole"] | None = None
    add_address: InterfaceAddress | None = None
    remove_address: InterfaceAddress | None = None
    add_endpoint: EndpointSpec | None = None
    remove_endpoint: EndpointAddress | None = None
    set_endpoint: EndpointFlags | None = None
    run: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] | None = None

    def __post_init__(self) -> None:
        _ = self.at_ns
        if (self.link is None) == (self.node is None):
            raise InputError("an event needs either a link or a node")
        where = "node" if self.link is None else "link"
        given = [name for names in ACTIONS.values() for name in names if getattr(self, name)]
        if len(given) != 1:
            raise InputError(
                f"an event of a {where} needs one action, but this one has {len(given)}",
                hint=f"one of: {', '.join(ACTIONS[where])}",
            )
        if given[0] not in ACTIONS[where]:
            raise InputError(
                f"{given[0]!r} is not an action of a {where}",
                hint=f"one of: {', '.join(ACTIONS[where])}",
            )
        if self.toward is not None and self.set is None:
            raise InputError("'toward' goes only with 'set'")

    @property
    def at_ns(self) -> int:
        """The time since the start of the workload."""
        return parse_time(str(self.at))


class ExperimentSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An experiment file.

    :param topology: the path of a topology file, relative to this file, or the topology itself.
    :param machines: the machines of the runs, with the names of ``testbed run --machine``. Each
        machine has all runs. By default the runs are on this host.
    :param stacks: the stacks under test. A stack is a name, with parameters if needed:
        ``userspace(scheduler=ecf)``, or ``{userspace: {scheduler: ecf}, label: ecf}``.
    :param workload: the only flow of each run. Give either ``workload`` or ``flows``.
    :param flows: flows that run at the same time, by name.
    :param matrix: paths with the values that they take. A path belongs to the topology
        (``links.wifi.delay``), to a flow (``workload.size``, ``flows.video.rate``) or to the stacks
        under test (``stack.scheduler``). Every combination of values is a cell.
    :param cases: named sets of values, which the parameter ``case`` of the matrix selects.  The
        key can have the path of a table instead (:mod:`testbed.experiment.table`).
    :param probes: the probes that measure during a run; by default all that cost little.
    :param pcap: record the packets of every interface of the workload's two nodes, or of the
        interfaces listed as ``NODE.INTERFACE``.
    :param repetitions: the number of runs of each cell.
    :param max_repetitions: add blocks of ``repetitions`` until each claim is decided, up to this
        number.
    :param timeout: the longest time of one run.
    :param wire: the engine that shapes the links.
    :param subflows: the number of subflows that an MPTCP connection must have had; by default the
        number that the topology's endpoints and limits lead to.
    :param fallback: ``allowed``: a run in which MPTCP fell back to TCP counts, and its metric
        ``fell_back`` is 1. By default such a run is invalid.
    """

    description: str = ""
    topology: str | dict[str, Any]
    stacks: Annotated[tuple[str | dict[str, Any], ...], msgspec.Meta(min_length=1)] = (
        "tcp",
        "mptcp",
    )
    machines: tuple[str, ...] = ()
    workload: Workload | None = None
    flows: dict[FlowName, Workload] = {}
    matrix: dict[ValuePath, Values] = {}
    cases: dict[str, Annotated[dict[ValuePath, Scalar], msgspec.Meta(min_length=1)]] = {}
    events: tuple[EventSpec, ...] = ()
    probes: tuple[str, ...] = DEFAULT_PROBES
    pcap: bool | tuple[str, ...] = False
    repetitions: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = REPETITIONS
    max_repetitions: Annotated[int, msgspec.Meta(ge=2, le=10_000)] | None = None
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 1
    timeout: str | int = "60s"
    wire: Literal["auto", "netem", "emulator"] = "auto"
    subflows: Annotated[int, msgspec.Meta(ge=1, le=MAX_SUBFLOWS)] | None = None
    fallback: Literal["refused", "allowed"] = "refused"
    expect: tuple[ExpectSpec, ...] = ()

    def __post_init__(self) -> None:
        if self.max_repetitions is not None:
            self._check_blocks(self.max_repetitions)
        if (self.workload is None) == (not self.flows):
            raise InputError("an experiment needs either a workload or flows")
        if self.flows and all(flow.background for flow in self.flows.values()):
            raise InputError("all flows are in the background: at least one must not be")

    def _check_blocks(self, most: int) -> None:
        if not self.expect:
            raise InputError(
                "it needs 'expect', which has the claims to decide", path="max_repetitions"
            )
        if self.repetitions < 2:
            raise InputError(
                "must be 2 or more with max_repetitions: one run shows no spread",
                path="repetitions",
            )
        if most < self.repetitions:
            raise InputError(f"must be {self.repetitions} or more", path="max_repetitions")

    @property
    def named_flows(self) -> dict[str, Workload]:
        """All flows by name. The flow of the short form has the name ``workload``."""
        return {WORKLOAD: self.workload} if self.workload is not None else self.flows

    @property
    def choices(self) -> tuple[StackChoice, ...]:
        """The stacks under test.

        :raises InputError: a stack is invalid; with its path.
        """
        found: list[StackChoice] = []
        for index, raw in enumerate(self.stacks):
            place = join_path("stacks", index)
            try:
                choice = read(raw)
            except InputError as error:
                raise InputError(error.message, path=place, hint=error.hint) from None
            if choice.label in [other.label for other in found]:
                raise InputError(f"stack {choice.label!r} is listed twice", path=place)
            found.append(choice)
        return tuple(found)

    @property
    def parameters(self) -> dict[str, list[Scalar]]:
        """The parameters of cells except the stack: ``case`` first, then the matrix."""
        cases: dict[str, list[Scalar]] = {CASE: [*self.cases]} if self.cases else {}
        return cases | self.matrix

    def assignments(self, parameters: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """Return the paths and values that the parameters of a cell stand for."""
        case = parameters.get(CASE)
        chosen = {} if case is None else self.cases[str(case)]
        return chosen | {path: value for path, value in parameters.items() if path != CASE}

    @property
    def timeout_ns(self) -> int:
        """The maximum time of a run. Raises InputError."""
        value = parse_time(str(self.timeout))
        if value == 0:
            raise InputError("must be more than 0")
        return value
