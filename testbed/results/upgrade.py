"""Result folders of earlier schemas, brought to the present one while they are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from testbed.results.model import SCHEMA, WORKLOAD

# What the present schema has elsewhere, or not at all.
_MOVED: Final = ("cell", "proof", "details")


def run(record: dict[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run of schema 1 in the present shape.

    Schema 1 had one workload, a stack that was only a name, and cells with a number.  It did not
    say what a stack used, nor which paths there were.

    :param record: ``run.json``.
    :param spec: the experiment as plain data.
    """
    workload = spec["workload"]
    kept = {name: value for name, value in record.items() if name not in _MOVED}
    flow = {
        "kind": workload["kind"],
        "source": workload["from"],
        "target": workload["to"],
        "port": _value(workload, "port", record["parameters"]),
        "proof": record.get("proof", {}),
        "details": record.get("details", {}),
    }
    return kept | {
        "schema": SCHEMA,
        "stacks": {WORKLOAD: {"name": record["stack"]}},
        "flows": {WORKLOAD: flow},
    }


def _value(workload: Mapping[str, Any], name: str, parameters: Mapping[str, Any]) -> Any:
    """Return a value of the workload, as the run had it."""
    default = 5201 if workload["kind"] == "iperf3" else 5001
    return parameters.get(f"workload.{name}", workload.get(name, default))
