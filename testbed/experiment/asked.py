"""From an experiment file to what its results are judged by."""

from __future__ import annotations

from testbed.analysis.asked import Asked
from testbed.experiment.matrix import expand
from testbed.experiment.spec import ExperimentSpec
from testbed.workload.metrics import headline


def asked(name: str, spec: ExperimentSpec) -> Asked:
    """Return what the experiment ``name`` asks for."""
    return Asked(
        name=name,
        description=spec.description,
        stacks=spec.stacks,
        parameters=spec.parameters,
        cells=expand(spec.parameters, spec.stacks),
        repetitions=spec.repetitions,
        headline=headline(str(spec.workload.__struct_config__.tag)),
        claims=spec.expect,
    )
