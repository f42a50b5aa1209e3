"""The definition of an experiment, its network, and how to run it again. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import yaml

from testbed.experiment.venue import SIMULATION
from testbed.machine.model import HOST
from testbed.report.blocks import Block, Code, Figure, Fold, Paragraph, Section, Table
from testbed.report.network import network, rows
from testbed.report.reading import Folder
from testbed.results.environment import Environment
from testbed.topology.model import Topology


def question(folder: Folder) -> Section:
    """Describe the experiment: stacks, flows, parameters, events."""
    spec = folder.spec
    blocks: list[Block] = []
    cells, repetitions = len(folder.asked.cells), folder.asked.repetitions
    blocks.append(
        Paragraph(
            f"{_counted(cells, 'cell')}, {_counted(repetitions, 'repetition')} of each in a "
            f"seeded, interleaved order (seed {spec.seed}); topology {folder.record.topology}; "
            f"wires: {spec.wire}; time-out of a run: {spec.timeout}."
        )
    )
    stacks = [
        (choice.label, choice.name, _pairs(choice.options) or "none") for choice in spec.choices
    ]
    blocks.append(Table("Stacks under test", ("label", "stack", "parameters"), tuple(stacks)))
    flows = tuple(_flow(name, msgspec.to_builtins(of)) for name, of in spec.named_flows.items())
    blocks.append(Table("Flows", ("flow", "kind", "from", "to", "values"), flows))
    if spec.matrix:
        axes = tuple((path, ", ".join(map(str, values))) for path, values in spec.matrix.items())
        blocks.append(Table("Matrix", ("parameter", "values"), axes))
    if spec.cases:
        cases = tuple((name, _pairs(values)) for name, values in spec.cases.items())
        blocks.append(Table("Cases", ("case", "values"), cases))
    if spec.events:
        events = tuple(_event(msgspec.to_builtins(event)) for event in spec.events)
        blocks.append(Table("Events", ("at", "of", "action"), events))
    return Section(id="asked", title="The experiment", blocks=tuple(blocks))


def topology(folder: Folder) -> Section | None:
    """Draw the network as it was at the start."""
    it = folder.topology
    if it is None:
        return None
    first = next(iter(folder.spec.named_flows.values())).source
    drawn = network(it, first)
    blocks: list[Block] = []
    if drawn is None:
        few = f"{len(it.nodes)} nodes and {len(it.links)} links are too many for a drawing."
        blocks.append(Paragraph(few))
    else:
        caption = f"The topology {it.name}, with its shaping and addresses."
        if folder.asked.parameters:
            caption += " Parameters of the matrix have their first values."
        blocks.append(Figure(caption, drawn))
    table = _links(it)
    folded = Fold(f"{len(table.rows)} ends of links as a table", (table,))
    blocks.append(table if drawn is None else folded)
    return Section(id="topology", title="The network", blocks=tuple(blocks))


def again(folder: Folder) -> Section:
    """Describe how to run the experiment again."""
    record, environment = folder.record, folder.environment
    file = shlex.quote(f"{record.name}.yaml")
    path = shlex.quote(str(folder.path))
    lines = [
        f"jq .spec {shlex.quote(str(folder.path / 'experiment.json'))} > {file}",
        f"testbed run {_machine(environment)}{file}",
        f"testbed report {path}",
    ]
    if environment is not None and environment.checkout is not None:
        lines.insert(0, f"git checkout {shlex.quote(environment.checkout.commit)}")
    blocks: list[Block] = [Code("Commands", "\n".join(lines))]
    if environment is not None and environment.checkout is not None and environment.checkout.dirty:
        changed = "The checkout had uncommitted changes, which are not in that commit."
        blocks.append(Paragraph(changed))
    text = yaml.safe_dump(record.spec, sort_keys=False, allow_unicode=False, width=100)
    whole = Code("The complete experiment", text)
    blocks.append(Fold("The experiment file, with its topology and all overrides", (whole,)))
    return Section(id="again", title="How to run it again", blocks=tuple(blocks))


def environment(folder: Folder) -> Section | None:
    """Describe the environment of the runs."""
    it = folder.environment
    if it is None:
        return None
    rows = tuple(_facts(it))
    table = Table("Where the runs were made", ("fact", "value"), rows)
    return Section(id="environment", title="The environment", blocks=(table,))


def _facts(it: Environment) -> Iterator[tuple[str, str]]:
    yield "machine", it.machine
    yield "kernel", f"{it.kernel.release} ({it.kernel.version}, {it.kernel.architecture})"
    if it.kernel.config:
        yield "kernel configuration", _pairs(it.kernel.config)
    yield "processors", f"{it.cpu.count} x {it.cpu.model}"
    yield "memory", f"{it.memory / 2**30:.1f} GiB"
    yield "root", "yes" if it.root else "no"
    yield "testbed", it.testbed
    if it.checkout is not None:
        yield "commit", it.checkout.commit + " with changes" * it.checkout.dirty
    yield "Python", it.python
    yield "packages", _pairs(it.packages)
    yield "tools", _pairs(it.tools) or "none"


def _machine(environment: Environment | None) -> str:
    if environment is None or environment.machine == HOST:
        return ""
    if environment.machine == SIMULATION:
        return "--sim "
    return f"--machine {shlex.quote(environment.machine)} "


def _links(it: Topology) -> Table:
    header = ("link", "end", "addresses", "shaping (tc-netem), or device")
    return Table("Links", header, tuple(rows(it)))


def _flow(name: str, raw: Mapping[str, Any]) -> tuple[str, ...]:
    kind, source, target = (str(raw.get(key, "")) for key in ("kind", "from", "to"))
    others = {
        key: value
        for key, value in raw.items()
        if key not in ("kind", "from", "to") and value not in (None, (), [], {}, False, "")
    }
    return name, kind, source, target, _pairs(others)


def _event(raw: Mapping[str, Any]) -> tuple[str, str, str]:
    subject = f"link {raw['link']}" if raw.get("link") else f"node {raw['node']}"
    left = {
        key: value
        for key, value in raw.items()
        if key not in ("at", "link", "node") and value is not None
    }
    return str(raw["at"]), subject, _pairs(left)


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {_plain(value)}" for name, value in values.items())


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return _pairs(value)
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return str(value)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
