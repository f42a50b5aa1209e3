"""The kinds of workloads: their interface and their registry.

Each kind of this package is a line in :data:`KINDS`. Another package adds a kind with an entry
point of the group ``testbed.workloads`` that names its :class:`PairedKind`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, ClassVar, Final

import msgspec

from testbed.document import Open
from testbed.errors import InputError
from testbed.metric import Metric
from testbed.registry import Registry
from testbed.workload.metrics import METRICS
from testbed.workload.result import Findings
from testbed.workload.stacks.model import Transport
from testbed.workload.transfer import Activity, Both, Goal, Report

TAG: Final = "kind"


class Job(Open):
    """The common task of a client's and a server's half. Every kind has its own struct.

    The struct is defined with ``tag_field="kind"`` and the name of the kind as ``tag``.
    """

    __slots__ = ()

    tag: ClassVar[str] = TAG

    @classmethod
    def struct(cls, name: str) -> type[Any]:
        """Return the job struct of a kind."""
        return paired(KINDS.take(name)).job

    @property
    def goal(self) -> Goal:
        """The sum of the halves' activities at the end."""
        raise NotImplementedError


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of workload.

    :param spec: the struct of its YAML: a subclass of :class:`~testbed.workload.spec.WorkloadSpec`
        whose tag is the name of the kind.
    :param gives: the names of the metrics that its runs can report, the main metric first.
    :param metrics: the metrics in ``gives`` that no other kind has.
    """

    spec: type[Any]
    gives: tuple[str, ...]
    metrics: tuple[Metric, ...] = ()


Connect = Callable[[Transport, tuple[str, int], Any, Activity], Coroutine[Any, Any, Report]]


class PairedKind(Kind, frozen=True, kw_only=True):
    """A kind with two halves over any stack. Its spec is a ``PairedSpec``.

    :param job: the struct with the task of both halves.
    :param connect: the client's half. Its arguments are a stack, the address to connect to, the job
        and an activity.
    :param serve: the server's half. Its address is the one to listen on.
    :param evaluate: returns the findings of this kind from all sessions of a flow.
    """

    job: type[Any]
    connect: Connect
    serve: Connect
    evaluate: Callable[[Sequence[Both]], Findings]


def _accept(name: str, found: Any) -> Kind:
    if not isinstance(found, PairedKind):
        raise TypeError(f"{found!r} is not a PairedKind")
    for struct in (found.spec, found.job):
        config = getattr(struct, "__struct_config__", None)
        if (getattr(config, "tag_field", None), getattr(config, "tag", None)) != (TAG, name):
            raise TypeError(f"{struct.__name__!r} does not have {name!r} as its tag {TAG!r}")
    own = [metric.name for metric in found.metrics]
    taken = sorted(METRICS.keys() & own)
    if taken:
        raise TypeError(f"the metric {taken[0]!r} already exists")
    strange = sorted({*found.gives} - {*METRICS, *own})
    if strange:
        raise TypeError(f"it gives {strange[0]!r}, which is not one of its metrics")
    return found


KINDS: Final[Registry[Kind]] = Registry(
    "kind of workload",
    "testbed.workloads",
    {
        "bulk": "testbed.workload.ours:BULK",
        "reqres": "testbed.workload.ours:REQRES",
        "stream": "testbed.workload.ours:STREAM",
        "rpc": "testbed.workload.ours:RPC",
        "http": "testbed.workload.ours:HTTP",
        "web": "testbed.workload.ours:WEB",
        "video": "testbed.workload.ours:VIDEO",
        "iperf3": "testbed.workload.ours:IPERF3",
        "command": "testbed.workload.ours:COMMAND",
    },
    _accept,
)


def paired(kind: Kind) -> PairedKind:
    """Return a kind as a :class:`PairedKind`.

    :raises InputError: the kind has no halves but starts programs.
    """
    if not isinstance(kind, PairedKind):
        raise InputError("this kind of workload has no halves: it starts programs")
    return kind


def paired_names() -> list[str]:
    """Return the names of the kinds with two halves."""
    return [name for name, kind in KINDS.working().items() if isinstance(kind, PairedKind)]


def kind_of(job: Any) -> PairedKind:
    """Return the kind of a job."""
    return paired(KINDS.take(str(job.__struct_config__.tag)))
