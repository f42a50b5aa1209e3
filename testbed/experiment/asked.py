"""From an experiment file to what its results are judged by."""

from __future__ import annotations

from testbed.analysis.asked import Asked
from testbed.experiment.matrix import expand
from testbed.experiment.spec import ExperimentSpec
from testbed.workload.metrics import headline


def asked(name: str, spec: ExperimentSpec) -> Asked:
    """Return what the experiment ``name`` asks for.

    :raises InputError: a stack is none.
    """
    choices = spec.choices
    return Asked(
        name=name,
        description=spec.description,
        stacks=tuple(choice.label for choice in choices),
        parameters=spec.parameters,
        cells=expand(spec.parameters, choices),
        repetitions=spec.repetitions,
        headline=headlines(spec),
        claims=spec.expect,
    )


def headlines(spec: ExperimentSpec) -> tuple[str, ...]:
    """Return the metrics that the flows in the foreground are mostly run for."""
    if spec.workload is not None:
        return headline(spec.workload.kind)
    subjects = [(name, flow) for name, flow in spec.flows.items() if not flow.background]
    few = 1 if len(subjects) > 1 else 2
    return tuple(
        f"{name}.{metric}" for name, flow in subjects for metric in headline(flow.kind)[:few]
    )
