"""``testbed schema``: what a file may say."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from testbed.cli.output import print_json


class Document(StrEnum):
    """The files that have a schema."""

    TOPOLOGY = "topology"
    EXPERIMENT = "experiment"


def command(
    document: Annotated[Document, typer.Argument(help="Which file.")] = Document.TOPOLOGY,
) -> None:
    """Print the JSON Schema of topologies or experiments.

    Editors use it to complete and check YAML: with the YAML language server, begin a file with
    ``# yaml-language-server: $schema=topology.schema.json``.

    Examples:

        testbed schema > topology.schema.json
        testbed schema experiment > experiment.schema.json
    """
    import msgspec

    if document is Document.TOPOLOGY:
        from testbed.topology.spec import TopologySpec as Spec
    else:
        from testbed.experiment.spec import ExperimentSpec as Spec  # type: ignore[assignment]
    specs = {} if document is Document.TOPOLOGY else _workloads()
    (root, *_), components = msgspec.json.schema_components(
        [Spec, *specs.values()], schema_hook=lambda _: _one_of(specs)
    )
    if document is Document.EXPERIMENT:
        _name_choices(components)
    else:
        _name_boxes(components)
    print_json(
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": f"testbed {document.value}",
            **root,
            "$defs": components,
        }
    )


def _workloads() -> dict[str, Any]:
    """Return what may be written of each kind of workload."""
    from testbed.workload.kinds import KINDS

    return {name: kind.spec for name, kind in KINDS.working().items()}


def _one_of(specs: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a value that is one of some structs, as msgspec writes it."""
    places = {name: f"#/$defs/{spec.__name__}" for name, spec in specs.items()}
    return {
        "anyOf": [{"$ref": place} for place in places.values()],
        "discriminator": {"propertyName": "kind", "mapping": places},
    }


def _name_boxes(components: dict[str, Any]) -> None:
    """Say in the schema which middleboxes there are, and their options."""
    import msgspec

    from testbed.sim.middlebox.kinds import KINDS

    kinds = {name: kind.options for name, kind in KINDS.working().items()}
    schemas, options = msgspec.json.schema_components([*kinds.values()])
    components |= options
    with_options = {
        "type": "object",
        "properties": dict(zip(kinds, schemas, strict=True)),
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    name = {"enum": [*kinds]}
    items = {"type": "array", "items": {"anyOf": [name, with_options]}}
    box = components["LinkSpec"]["properties"]["middlebox"]
    box["anyOf"] = [name, items, {"type": "null"}]


def _name_choices(components: dict[str, Any]) -> None:
    """Say in the schema which stacks, probes and metrics there are, and what each is."""
    from testbed.analysis.registry import metrics
    from testbed.experiment.spec import DEFAULT_PROBES, PACKETS
    from testbed.probe.probes import PROBES
    from testbed.workload.stacks.options import names
    from testbed.workload.stacks.registry import KINDS

    experiment = components["ExperimentSpec"]["properties"]
    stacks = [
        {"const": kind.name, "description": f"{kind.summary}; options: {', '.join(names(kind))}"}
        for kind in KINDS.values()
    ]
    labelled = {
        "type": "object",
        "description": "a stack with options, {NAME: {OPTION: VALUE}}, and perhaps a label",
        "properties": {
            "label": {"type": "string"},
            **{
                kind.name: {
                    "type": ["object", "null"],
                    "description": kind.summary,
                    "properties": {option: {} for option in names(kind)},
                    "additionalProperties": False,
                }
                for kind in KINDS.values()
            },
        },
    }
    written = {"type": "string", "description": "NAME(OPTION=VALUE, ...), or SOURCE/TARGET"}
    experiment["stacks"]["items"] = {"anyOf": [*stacks, labelled, written]}
    experiment["probes"]["items"] = {
        "enum": [
            *DEFAULT_PROBES,
            PACKETS,
            *(name for name in PROBES.usable() if name not in PROBES.own()),
        ]
    }
    known = [
        {"const": metric.name, "description": metric.definition} for metric in metrics().values()
    ]
    pattern = {"type": "string", "description": "FLOW.METRIC, FLOW@LINK.METRIC, LINK>NODE.METRIC"}
    components["ExpectSpec"]["properties"]["metric"] = {"anyOf": [*known, pattern]}
