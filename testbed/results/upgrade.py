"""The conversion of earlier schemas of result folders to the current one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from testbed.results.model import SCHEMA, WORKLOAD

# Keys that the current schema has in another place, or not at all.
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
    """Convert a run of schema 1 to the current schema.

    Schema 1 had one workload, a stack that was only a name, and cells with a number. It had neither
    the options in use of a stack nor the paths.

    :param record: ``run.json``.
    :param spec: the experiment as plain data.
    :raises msgspec.ValidationError: the data does not have that schema.
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
