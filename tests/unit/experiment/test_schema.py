"""The JSON Schemas: what is shipped fits them, and all that can be chosen is in them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from testbed.experiment import schema
from testbed.workload.stacks.options import names
from testbed.workload.stacks.registry import KINDS

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")

ROOT = Path(__file__).parents[3]
SCHEMAS = {"topologies": schema.topology, "experiments": schema.experiment}


def test_the_schema_knows_the_options_of_stacks_and_what_they_mean() -> None:
    defs = schema.experiment()["$defs"]
    items = defs["ExperimentSpec"]["properties"]["stacks"]["items"]["anyOf"]
    (labelled,) = [item for item in items if item.get("type") == "object"]
    stacks = {name: it for name, it in labelled["properties"].items() if name != "label"}
    assert set(stacks) == set(KINDS)
    for name, stack in stacks.items():
        assert set(stack["properties"]) == set(names(KINDS[name]))
        assert all(option["description"] for option in stack["properties"].values())
    known = stacks["userspace"]["properties"]["scheduler"]["anyOf"]
    assert {"blest", "ecf"} <= {scheduler["const"] for scheduler in known}
    assert stacks["mptcp"]["properties"]["user_timeout"]["type"] == ["integer", "string"]


@pytest.mark.parametrize("folder", SCHEMAS)
def test_all_that_is_shipped_fits_its_schema(folder: str) -> None:
    validator = jsonschema.Draft202012Validator(SCHEMAS[folder]())
    files = sorted((ROOT / folder).glob("*.yaml"))
    assert files
    for file in files:
        assert [
            error.message for error in validator.iter_errors(yaml.safe_load(file.read_text()))
        ] == []


@pytest.mark.parametrize("stack", ["tpc: {}", "userspace: {scheduler: eff}", "tcp: {nodelay: 1}"])
def test_the_schema_refuses_options_that_are_none(stack: str) -> None:
    experiment = yaml.safe_load((ROOT / "experiments" / "quickstart.yaml").read_text())
    validator = jsonschema.Draft202012Validator(schema.experiment())
    experiment["stacks"] = [yaml.safe_load(stack)]
    assert not validator.is_valid(experiment)


@pytest.mark.parametrize(
    ("netem", "fits"),
    [
        ({"rate": "1mbit", "queue": "fq_codel target 5ms"}, True),
        ({"rate": "1mbit", "queue": {"kind": "fq_codel", "target": "5ms", "ecn": True}}, True),
        ({"rate": "1mbit", "queue": {"kind": "fq_codel", "tupdate": "5ms"}}, False),
        ({"rate": "1mbit", "queue": {"kind": "cake"}}, False),
        ({"rtae": "1mbit"}, False),
    ],
)
def test_the_schema_knows_the_options_of_wires(netem: dict[str, object], fits: bool) -> None:
    links = {"x": {"between": ["a", "b"], "netem": netem}}
    topology = jsonschema.Draft202012Validator(schema.topology())
    assert topology.is_valid({"nodes": {"a": {}, "b": {}}, "links": links}) is fits
    event = {"at": "1s", "link": "x", "set": netem}
    events = jsonschema.Draft202012Validator(
        schema.experiment()["$defs"]["EventSpec"] | {"$defs": schema.experiment()["$defs"]}
    )
    assert events.is_valid(event) is fits


def test_every_option_of_a_wire_has_a_description() -> None:
    _, block = schema.topology()["$defs"]["Netem"]["anyOf"]
    assert all(option["description"] for option in block["properties"].values())
    for kind in block["properties"]["queue"]["anyOf"][1:]:
        known = {name: it for name, it in kind["properties"].items() if name != "kind"}
        assert all(option["description"] for option in known.values())


def topology_keys() -> list[tuple[str, str]]:
    """Return each key of a topology file, with the part of the schema that has it."""
    parts = schema.topology()["$defs"]
    return [(name, key) for name, part in parts.items() for key in part.get("properties", {})]


def test_every_key_of_a_topology_has_a_description() -> None:
    parts = schema.topology()["$defs"]
    silent = [
        f"{name}.{key}"
        for name, key in topology_keys()
        if not parts[name]["properties"][key].get("description")
    ]
    assert not silent


def test_every_key_of_a_topology_stands_in_an_example() -> None:
    """Tests of the pages read each block there, so none of these examples can be wrong."""
    pages = [ROOT / "docs" / f"{name}.md" for name in ("topologies", "middleboxes", "wires")]
    blocks = [
        block
        for page in pages
        for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), flags=re.DOTALL)
    ]
    shown = {
        key for block in blocks for key in re.findall(r"([\w]+):(?=\s|$)", block, re.MULTILINE)
    }
    shown |= {key for block in blocks for key in re.findall(r"(\w+)=", block)}  # of a box as text
    assert sorted({key for _, key in topology_keys()} - shown) == []


def test_generators_have_the_options_of_wires() -> None:
    parts = schema.topology()["$defs"]
    for name in ("StarSpec", "LineSpec", "FatTreeSpec", "BCubeSpec"):
        assert parts[name]["properties"]["netem"]["$ref"] == "#/$defs/Netem", name
