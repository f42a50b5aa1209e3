"""The JSON Schemas of topologies and experiments, with the names of all components."""

from __future__ import annotations

from typing import Any

import msgspec

from testbed.analysis.registry import metrics
from testbed.experiment.spec import PACKETS, WIRE, ExperimentSpec
from testbed.probe.probes import PROBES
from testbed.results.model import STACK_PREFIX
from testbed.topology.described import describe
from testbed.topology.spec import TopologySpec
from testbed.wire import described as described_wires
from testbed.workload.kinds import KINDS as WORKLOADS
from testbed.workload.page import PageSpec
from testbed.workload.stacks import described
from testbed.workload.stacks.options import names
from testbed.workload.stacks.registry import KINDS

_OTHER_PROBES = {
    WIRE: "counters, backlog and drops of every wire",
    PACKETS: "a digest of every packet of a simulated run",
}


def topology() -> dict[str, Any]:
    """Return the schema of topology files."""
    (root,), components = msgspec.json.schema_components([TopologySpec])
    _name_boxes(components)
    _describe_wires(components)
    describe(components)
    return whole("topology", root, components)


def experiment() -> dict[str, Any]:
    """Return the schema of experiment files."""
    specs: dict[str, Any] = {name: kind.spec for name, kind in WORKLOADS.working().items()}
    (root, *_), components = msgspec.json.schema_components(
        [ExperimentSpec, *specs.values()], schema_hook=lambda _: _one_of(specs)
    )
    fields = components["ExperimentSpec"]["properties"]
    stack = _stack()
    fields["stacks"]["items"] = stack
    for spec in specs.values():
        components[spec.__name__]["properties"]["stack"] |= {"anyOf": [*stack["anyOf"], _NOTHING]}
    table = {"type": "string", "description": "a CSV file: the column case, then paths"}
    fields["cases"] = {"anyOf": [fields["cases"], table]}
    fields["probes"]["items"] = {"anyOf": _probes()}
    fields["matrix"]["properties"] = _axes()
    known = [{"const": it.name, "description": it.definition} for it in metrics().values()]
    pattern = {"type": "string", "description": "FLOW.METRIC, FLOW@LINK.METRIC, LINK>NODE.METRIC"}
    _describe_wires(components)
    components["ExpectSpec"]["properties"]["metric"] = {"anyOf": [*known, pattern]}
    return whole("experiment", root, components)


def page() -> dict[str, Any]:
    """Return the schema of the pages of the workload ``web``."""
    (root,), components = msgspec.json.schema_components([PageSpec])
    return whole("page", root, components)


_NOTHING = {"type": "null"}


def whole(document: str, root: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    """Return the complete schema of a kind of document."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"testbed {document}",
        **root,
        "$defs": components,
    }


def _one_of(specs: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a union of structs, in msgspec's form."""
    places = {name: f"#/$defs/{spec.__name__}" for name, spec in specs.items()}
    return {
        "anyOf": [{"$ref": place} for place in places.values()],
        "discriminator": {"propertyName": "kind", "mapping": places},
    }


def _describe_wires(components: dict[str, Any]) -> None:
    """Add the options of a direction of a wire to the schema."""
    components["Netem"] = described_wires.schema()
    block = {"$ref": "#/$defs/Netem"}
    for part in components.values():
        if "netem" in part.get("properties", {}):
            part["properties"]["netem"] = block
    if "LinkSpec" in components:
        components["LinkSpec"]["properties"]["toward"]["additionalProperties"] = block
    if "EventSpec" in components:
        mapping = components["Netem"]["anyOf"][1]
        components["EventSpec"]["properties"]["set"]["anyOf"] = [mapping, _NOTHING]


def _name_boxes(components: dict[str, Any]) -> None:
    """Add the middleboxes and their options to the schema."""
    from testbed.middlebox.kinds import KINDS  # noqa: PLC0415 - of topologies alone

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
    said = {name: (kind.__doc__ or "").partition("\n")[0] for name, kind in kinds.items()}
    names = {"anyOf": [{"const": name, "description": text} for name, text in said.items()]}
    text = {
        "type": "string",
        "pattern": rf"^({'|'.join(kinds)})\(.*\)$",
        "description": "NAME(OPTION=VALUE, ...)",
    }
    items = {"type": "array", "items": {"anyOf": [names, text, with_options]}}
    box = components["LinkSpec"]["properties"]["middlebox"]
    box["anyOf"] = [{"anyOf": [names, text]}, items, {"type": "null"}]


def _stack() -> dict[str, Any]:
    """Return the schema of a stack with its options."""
    alone = [
        {"const": kind.name, "description": f"{kind.summary}; options: {', '.join(names(kind))}"}
        for kind in KINDS.values()
    ]
    labelled = {
        "type": "object",
        "description": "a stack with options, {NAME: {OPTION: VALUE}}, and perhaps a label",
        "properties": {
            "label": {"type": "string"},
            **{kind.name: described.schema(kind) for kind in KINDS.values()},
        },
        "patternProperties": {"[/(]": {"type": ["object", "null"]}},
        "additionalProperties": False,
    }
    written = {"type": "string", "description": "NAME(OPTION=VALUE, ...), or SOURCE/TARGET"}
    return {"anyOf": [*alone, labelled, written]}


def _probes() -> list[dict[str, Any]]:
    """Return the schema of each probe that a list of probes may name."""
    known = {name: text for name, text in PROBES.summaries().items() if name != "pcap"}
    usable = PROBES.usable()
    chosen = {name: text for name, text in known.items() if name in usable} | _OTHER_PROBES
    return [{"const": name, "description": text} for name, text in chosen.items()]


def _axes() -> dict[str, Any]:
    """Return the schema of each axis of the matrix that is an option of stacks."""
    found: dict[str, dict[str, Any]] = {}
    for kind in KINDS.values():
        for name in names(kind):
            of_kind = described.option(kind, name)
            text = of_kind.pop("description", "")
            options = found.setdefault(name, {"description": text, "anyOf": []})["anyOf"]
            if of_kind not in options:
                options.append(of_kind)
    return {
        STACK_PREFIX + name: {
            "type": "array",
            "minItems": 1,
            "description": it["description"],
            "items": {"anyOf": it["anyOf"]},
        }
        for name, it in found.items()
    }
