"""Sides of comparisons without result folders."""

from __future__ import annotations

from typing import Any

import msgspec

from testbed.analysis.sides import CellSamples, Side
from testbed.metric import Metric
from testbed.results.environment import Checkout, Cpu, Environment, Kernel

ENVIRONMENT = Environment(
    testbed="0.1.0",
    checkout=Checkout(commit="a" * 40, dirty=False),
    python="3.12.1",
    packages={"msgspec": "0.23"},
    tools={"ip": "6.15"},
    kernel=Kernel(release="6.12", version="#1", architecture="x86_64"),
    cpu=Cpu(model="a processor", count=2),
    memory=1 << 30,
    root=True,
)


def cell(stack: str = "mptcp", count: int | None = None, **more: Any) -> CellSamples:
    """Return a cell; ``metrics`` are sequences of values, one for each run that counts."""
    metrics = {name: tuple(values) for name, values in more.pop("metrics", {}).items()}
    count = len(next(iter(metrics.values()), ())) if count is None else count
    planned = more.pop("planned", count + more.get("failed", 0) + more.get("invalid", 0))
    return CellSamples(
        stack=stack,
        parameters=more.pop("parameters", {}),
        repetitions=tuple(range(1, count + 1)),
        metrics=metrics,
        planned=planned,
        **more,
    )


def side(
    name: str,
    *cells: CellSamples,
    deterministic: bool = False,
    environment: Environment = ENVIRONMENT,
    spec: dict[str, Any] | None = None,
    own: dict[str, Metric] | None = None,
) -> Side:
    """Return a side; experiments are the same where ``spec`` is."""
    spec = spec or {"workload": {"size": "1MB"}}
    if deterministic and environment.machine == "host":
        environment = msgspec.structs.replace(environment, machine="sim")
    return Side(
        name=name,
        experiment="try",
        digest=str(spec),
        spec=spec,
        environment=environment,
        headline=("goodput",),
        deterministic=deterministic,
        cells=cells,
        own=own or {},
    )
