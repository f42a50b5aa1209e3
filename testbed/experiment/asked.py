"""The criteria that an experiment file sets for its results."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from testbed.analysis.asked import Asked
from testbed.analysis.refusals import Scope
from testbed.document import join_path
from testbed.experiment.matrix import expand
from testbed.experiment.spec import ExperimentSpec
from testbed.experiment.venue import SIMULATION
from testbed.machine.model import HOST, VARIABLE, VIRTUAL_TIME
from testbed.metric import Metric
from testbed.topology.model import Topology
from testbed.workload.base import Workload
from testbed.workload.flow import WORKLOAD
from testbed.workload.metrics import BOTH_WAYS, CPU, TIMED
from testbed.workload.spec import Command

_HEADLINES: Final = 2  # headline metrics of a flow


def asked(name: str, spec: ExperimentSpec, machine: str = HOST) -> Asked:
    """Return the criteria of the experiment ``name``.

    :param machine: the machine of its runs, by its name in an environment.
    :raises InputError: a stack is invalid.
    """
    choices = spec.choices
    return Asked(
        name=name,
        description=spec.description,
        stacks=tuple(choice.label for choice in choices),
        parameters=spec.parameters,
        cells=expand(spec.parameters, choices),
        repetitions=spec.repetitions,
        most=None if is_deterministic(machine) else spec.max_repetitions,
        headline=headlines(spec),
        claims=spec.expect,
        deterministic=is_deterministic(machine),
        own=own_metrics(spec),
    )


def headlines(spec: ExperimentSpec) -> tuple[str, ...]:
    """Return the main metrics of the flows in the foreground."""
    if spec.workload is not None:
        return _headline(spec.workload)
    subjects = [(name, flow) for name, flow in spec.flows.items() if not flow.background]
    few = 1 if len(subjects) > 1 else 2
    return tuple(f"{name}.{metric}" for name, flow in subjects for metric in _headline(flow)[:few])


def scope(
    spec: ExperimentSpec, stacks: Sequence[str], topology: Topology, *, decided: bool
) -> Scope:
    """Return the stacks, parameters and metrics that a claim can name.

    :param stacks: the labels of those under test.
    :param decided: whether there are enough runs to decide anything.
    """
    return Scope(
        stacks=stacks,
        parameters=spec.parameters,
        flows={
            "" if spec.workload is not None else name: _given(spec, name, flow)
            for name, flow in spec.named_flows.items()
        },
        links=_links(topology),
        probes=spec.probes,
        decided=decided,
        own=own_metrics(spec),
    )


def _links(topology: Topology) -> dict[str, tuple[str, ...]]:
    """Return the nodes at each link, VLAN and tunnel."""
    found: dict[str, tuple[str, ...]] = {
        link.name: (link.a.node, link.b.node) for link in topology.links
    }
    for node in topology.nodes:
        for interface in node.interfaces:
            if interface.device is not None:
                found[interface.link] = (*found.get(interface.link, ()), node.name)
    return found


def is_deterministic(machine: str) -> bool:
    """Return whether a run in a machine is deterministic, because its clock is virtual."""
    if machine == HOST:
        machine = os.environ.get(VARIABLE, machine)
    return machine == SIMULATION or machine.endswith(VIRTUAL_TIME)


def _given(spec: ExperimentSpec, name: str, flow: Workload) -> tuple[str, ...]:
    """Return the metrics that a flow has in any cell of the matrix."""
    paths = {*spec.matrix, *(path for case in spec.cases.values() for path in case)}
    prefix = WORKLOAD if spec.workload is not None else join_path("flows", name)
    both = f"{prefix}.direction" in paths or getattr(flow, "direction", "") == "both"
    timed = f"{prefix}.arrivals" in paths or getattr(flow, "arrivals", None) is not None
    left_out = (() if both else BOTH_WAYS) + (() if timed else TIMED)
    given = tuple(name for name in flow.gives if name not in left_out)
    return (*flow.own, *given) if isinstance(flow, Command) else given


def _headline(flow: Workload) -> tuple[str, ...]:
    """Return the main metrics of a flow. Those that its programs print come first."""
    usual = tuple(name for name in flow.gives if name not in CPU)[:_HEADLINES]
    return (*flow.own, *usual) if isinstance(flow, Command) else usual


def own_metrics(spec: ExperimentSpec) -> dict[str, Metric]:
    """Return the metrics that the programs of an experiment print."""
    found: dict[str, Metric] = {}
    for flow in spec.named_flows.values():
        if isinstance(flow, Command):
            found |= flow.own
    return found
