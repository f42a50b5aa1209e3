"""Result folders of earlier schemas, brought to the present one while they are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from testbed.results.model import SCHEMA, WORKLOAD

# What the present schema has elsewhere, or not at all.
_MOVED: Final = ("cell", "proof", "details")


class _Run(msgspec.Struct):
    """The keys of ``run.json`` that are moved."""

    stack: str
    parameters: dict[str, Any]
    proof: dict[str, Any] = {}
    details: dict[str, Any] = {}


class _Workload(msgspec.Struct, rename={"source": "from", "target": "to"}):
    kind: str
    source: str
    target: str
    port: int | None = None


class _Spec(msgspec.Struct):
    workload: _Workload


def run(record: dict[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run of schema 1 in the present shape.

    Schema 1 had one workload, a stack that was only a name, and cells with a number.  It did not
    say what a stack used, nor which paths there were.

    :param record: ``run.json``.
    :param spec: the experiment as plain data.
    :raises msgspec.ValidationError: they are not of that schema.
    """
    moved, workload = msgspec.convert(record, _Run), msgspec.convert(spec, _Spec).workload
    usual = 5201 if workload.kind == "iperf3" else 5001
    kept = {name: value for name, value in record.items() if name not in _MOVED}
    flow = {
        "kind": workload.kind,
        "source": workload.source,
        "target": workload.target,
        "port": moved.parameters.get("workload.port", workload.port or usual),
        "proof": moved.proof,
        "details": moved.details,
    }
    return kept | {
        "schema": SCHEMA,
        "stacks": {WORKLOAD: {"name": moved.stack}},
        "flows": {WORKLOAD: flow},
    }
