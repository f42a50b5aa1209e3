"""Plugins of other packages: their registries, and those that an experiment uses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from testbed.analysis import registry as metrics
from testbed.document import split_path
from testbed.experiment.load import Experiment
from testbed.probe.probes import PROBES
from testbed.registry import Registry
from testbed.results.model import STACK_PREFIX
from testbed.stack.mptcp.path_manager import PATH_MANAGERS
from testbed.stack.mptcp.scheduler import SCHEDULERS
from testbed.stack.tcp.congestion import CONTROLS
from testbed.topology.model import Topology
from testbed.topology.resolve import resolve
from testbed.workload import kinds as workloads
from testbed.workload.stacks.choice import StackChoice, read
from testbed.workload.stacks.options import OUR_NAMES


def registries() -> tuple[Registry[Any], ...]:
    """Return the registry of each group."""
    return (
        workloads.KINDS,
        PROBES,
        SCHEDULERS,
        CONTROLS,
        PATH_MANAGERS,
        _middleboxes(),
        metrics.REGISTRY,
    )


def _middleboxes() -> Registry[Any]:
    from testbed.middlebox.kinds import KINDS  # noqa: PLC0415 - few experiments need them

    return KINDS


def used(experiment: Experiment) -> dict[str, str]:
    """Return the distribution and version of each plugin that the runs of an experiment use.

    The metrics of all packages are derived for every run, so all of them are used.

    :returns: for example ``{"testbed.schedulers:mine": "package 1.0"}``.
    """
    found = {}
    for registry, name in _named(experiment):
        origin = registry.origin(name)
        if origin is not None:
            found[f"{registry.group}:{name}"] = f"{origin.distribution} {origin.version}"
    return dict(sorted(found.items()))


def _named(experiment: Experiment) -> Iterator[tuple[Registry[Any], str]]:
    """Yield every name in the experiment that refers to a registry entry."""
    spec = experiment.spec
    yield from ((workloads.KINDS, flow.kind) for flow in spec.named_flows.values())
    yield from ((PROBES, probe) for probe in spec.probes)
    yield from _of_stacks(experiment)
    yield from _of_topology(resolve(experiment.network))
    for path, values in _varied(experiment):
        option = path.removeprefix(STACK_PREFIX)
        registry = _middleboxes() if "middlebox" in split_path(path) else OUR_NAMES.get(option)
        if registry is not None:
            yield from ((registry, str(value)) for value in values)
    yield from ((metrics.REGISTRY, name) for name in metrics.derivations())


def _of_stacks(experiment: Experiment) -> Iterator[tuple[Registry[Any], str]]:
    for choice in _choices(experiment):
        for name, value in choice.options.items():
            if name in OUR_NAMES:
                yield OUR_NAMES[name], str(value)


def _of_topology(topology: Topology) -> Iterator[tuple[Registry[Any], str]]:
    for node in topology.nodes:
        for name, value in node.sysctls:
            if name == "net.ipv4.tcp_congestion_control":
                yield CONTROLS, value
    for link in topology.links:
        yield from ((_middleboxes(), box.kind) for box in link.middlebox)


def _choices(experiment: Experiment) -> Iterator[StackChoice]:
    yield from experiment.choices
    for flow in experiment.spec.named_flows.values():
        if flow.stack is not None:
            yield read(flow.stack)


def _varied(experiment: Experiment) -> Iterator[tuple[str, list[Any]]]:
    yield from experiment.spec.matrix.items()
    for case in experiment.spec.cases.values():
        yield from ((path, [value]) for path, value in case.items())
