"""From an experiment file to what its results are judged by."""

from __future__ import annotations

import os

from testbed.analysis.asked import Asked
from testbed.analysis.refusals import Scope
from testbed.experiment.matrix import expand
from testbed.experiment.spec import ExperimentSpec
from testbed.experiment.venue import HOST, SIMULATION
from testbed.machine.model import VARIABLE, VIRTUAL_TIME
from testbed.topology.model import Topology
from testbed.workload.metrics import BOTH_WAYS, GIVES, headline
from testbed.workload.spec import Workload


def asked(name: str, spec: ExperimentSpec, machine: str = HOST) -> Asked:
    """Return what the experiment ``name`` asks for.

    :param machine: where its runs happen, as an environment names it.
    """
    return Asked(
        name=name,
        description=spec.description,
        stacks=spec.stacks,
        parameters=spec.parameters,
        cells=expand(spec.parameters, spec.stacks),
        repetitions=spec.repetitions,
        headline=headline(_kind(spec.workload)),
        claims=spec.expect,
        deterministic=is_deterministic(machine),
    )


def scope(spec: ExperimentSpec, topology: Topology, *, decided: bool) -> Scope:
    """Return what the runs of an experiment can be asked about.

    :param decided: whether so many runs can decide anything.
    """
    return Scope(
        stacks=spec.stacks,
        parameters=spec.parameters,
        flows={"": _given(spec)},
        links={link.name: (link.a.node, link.b.node) for link in topology.links},
        probes=spec.probes,
        decided=decided,
    )


def is_deterministic(machine: str) -> bool:
    """Tell whether a run in a machine would be the same again: its clock is virtual."""
    if machine == HOST:
        machine = os.environ.get(VARIABLE, machine)
    return machine == SIMULATION or machine.endswith(VIRTUAL_TIME)


def _given(spec: ExperimentSpec) -> tuple[str, ...]:
    """Return what the workload gives, whatever the matrix makes of it."""
    paths = {*spec.matrix, *(path for case in spec.cases.values() for path in case)}
    both = "workload.direction" in paths or getattr(spec.workload, "direction", "") == "both"
    given = GIVES[_kind(spec.workload)]
    return given if both else tuple(name for name in given if name not in BOTH_WAYS)


def _kind(workload: Workload) -> str:
    return str(workload.__struct_config__.tag)
