"""What pages show works: each command line is one, each block of YAML is right.

Commands are carried out (``tests/docs``), but for some that need what a test does not have.  The
parser of the command line reads those, too.  A part of a file is put into a whole one, which is
checked as `testbed check` checks it.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from testbed import document
from testbed.campaign import runner
from testbed.cli import application as application_commands
from testbed.cli.application import application
from testbed.experiment.load import load
from testbed.experiment.spec import ExperimentSpec
from testbed.topology.load import load_topology
from testbed.topology.resolve import resolve
from testbed.topology.spec import LinkSpec, TopologySpec
from testbed.workload.page import PageSpec, resolved
from testbed.workload.spec import Program

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# What a part of a file is put into.
LINKS: dict[str, Any] = {
    "wifi": {"between": ["client", "gateway"], "netem": {}},
    "lte": {"between": ["client", "gateway"], "netem": {}},
    "dsl": {"between": ["phone", "gateway"], "netem": {}},
    "lan": {"between": ["laptop", "gateway"], "netem": {}},
    "wan": {"between": ["gateway", "server"], "netem": {}},
}
NODES: dict[str, Any] = {"client": {}, "phone": {}, "laptop": {}, "server": {},
                         "gateway": {"kind": "router"}}  # fmt: skip
EXPERIMENT: dict[str, Any] = {
    "topology": {"nodes": NODES, "links": LINKS},
    "stacks": ["userspace"],
    "workload": {"kind": "bulk", "from": "client", "to": "server", "size": "1MB"},
}


def blocks(language: str) -> list[Any]:
    """Return each block of a language, with its page and its line.

    The page on plugins has an experiment that needs a package; it is run elsewhere.
    """
    found = []
    for page in PAGES:
        if (page.name, language) == ("plugins.md", "yaml"):
            continue
        text = page.read_text()
        for match in re.finditer(rf"```{language}\n(.*?)```", text, re.DOTALL):
            line = text.count("\n", 0, match.start()) + 2
            found.append(pytest.param(match[1], id=f"{page.name}:{line}"))
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the files that blocks name, as a checkout and its reader have them."""
    for name in ("topologies", "experiments"):
        (tmp_path / name).symlink_to(ROOT / name)
    here = tmp_path / "own"
    (here / "traces").mkdir(parents=True)
    trace = (ROOT / "topologies/traces/train-a.csv").read_bytes()
    (here / "traces/tunnel.csv").write_bytes(trace)
    (here / "lte.trace").write_text("1\n2\n")
    (here / "upload.yaml").write_text(document.dump(EXPERIMENT["topology"]))
    return here


@pytest.mark.parametrize("text", blocks("yaml"))
def test_a_block_of_yaml_is_right(text, folder):
    """As `testbed check` decides, of a whole file."""
    raw, _ = document.parse(text, "block")
    if isinstance(raw, list):
        document.loads(text, list[Program], "block")
    elif "objects" in raw:
        resolved(document.loads(text, PageSpec, "block"))
    elif raw.keys() <= set(LinkSpec.__struct_fields__):
        check_topology({"links": {**LINKS, "wifi": {**LINKS["wifi"], **raw}}}, folder)
    elif raw.keys() <= set(TopologySpec.__struct_fields__) and "kind" not in raw:
        for part in generators(raw):
            check_topology(part, folder)
    else:
        check_experiment(raw, folder)


def generators(raw: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a topology with one generator each: a page shows several in one block."""
    kinds = raw.get("generate", {})
    return [{**raw, "generate": {kind: kinds[kind]}} for kind in kinds] or [raw]


def check_topology(raw: dict[str, Any], folder: Path) -> None:
    """Resolve a topology; nodes that it leaves out have no options."""
    whole = dict(raw)
    if "generate" not in raw:
        whole.setdefault("links", LINKS)
        ends = {end for link in whole["links"].values() for end in link["between"]}
        missing = {end: NODES.get(end, {}) for end in sorted(ends)}
        whole["nodes"] = {**missing, **raw.get("nodes", {})}
    path = folder / "block.yaml"
    path.write_text(document.dump(whole))
    resolve(load_topology(path))


def check_experiment(raw: dict[str, Any], folder: Path) -> None:
    """Load an experiment with all that its own files name, and plan its runs.

    Claims by themselves are about several workloads, so only their types are checked.
    """
    whole = {**EXPERIMENT, **raw}
    if "flows" in raw:
        del whole["workload"]
    if raw.keys() == {"expect"}:
        document.loads(document.dump(whole), ExperimentSpec, "block")
        return
    path = folder / "block.yaml"
    path.write_text(document.dump(whole))
    assert runner.plan(load(path))


COMMANDS = {
    command: None
    for param in blocks("console")
    for command in re.findall(r"^\$ (.*?)(?<!\\)\n", param.values[0], re.MULTILINE | re.DOTALL)
}


def shown_commands() -> list[list[str]]:
    """Return the words of each command of testbed that a page shows, on any line."""
    found = []
    for text in COMMANDS:
        lexer = shlex.shlex(text.replace("\\\n", " "), posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        line = " ".join("\n" if set(word) <= set("|&;<>") else shlex.quote(word) for word in lexer)
        for part in line.split("\n"):
            words = shlex.split(part)
            starts = [at for at, word in enumerate(words) if word == "testbed"]
            found += [words[at + 1 :] for at in starts if words[at + 1 : at + 2] and
                      words[at + 1] in application_commands.COMMANDS]  # fmt: skip
    return found


@pytest.mark.parametrize("words", shown_commands(), ids=" ".join)
def test_a_command_line_is_one(words):
    context: Any = None
    command: Any = typer.main.get_command(application)
    name = "testbed"
    while hasattr(command, "list_commands"):
        context = command.make_context(name, list(words), parent=context)
        rest = context._protected_args + context.args
        name, command, words = command.resolve_command(context, rest)
    command.make_context(name, list(words), parent=context)
