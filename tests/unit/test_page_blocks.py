"""What pages show can be typed: each command line is one, each block of YAML has the right keys.

Commands are carried out (``tests/docs``), but for some that need what a test does not have.  The
parser of the command line reads those, too.  A part of a file is put into a whole one, whose types
are checked.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from testbed import document
from testbed.cli import application as application_commands
from testbed.cli.application import application
from testbed.experiment.spec import ExperimentSpec
from testbed.topology.load import load_topology
from testbed.topology.resolve import resolve
from testbed.topology.spec import LinkSpec, TopologySpec
from testbed.workload.page import PageSpec, resolved
from testbed.workload.spec import Program

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TOPOLOGY: dict[str, Any] = {
    "nodes": {"client": {}, "server": {}},
    "links": {"wifi": {"between": ["client", "server"]}},
}
EXPERIMENT: dict[str, Any] = {
    "topology": TOPOLOGY,
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


@pytest.mark.parametrize("text", blocks("yaml"))
def test_a_block_of_yaml_has_the_right_keys(text):
    raw, _ = document.parse(text, "block")
    if isinstance(raw, list):
        document.loads(text, list[Program], "block")
        return
    if raw.keys() <= set(TopologySpec.__struct_fields__) and "kind" not in raw:
        document.loads(document.dump(TOPOLOGY | raw), TopologySpec, "block")
        return
    if raw.keys() <= set(LinkSpec.__struct_fields__):
        link = {"between": ["client", "server"], **raw}
        document.loads(document.dump(TOPOLOGY | {"links": {"wifi": link}}), TopologySpec, "block")
        return
    if "objects" in raw:
        resolved(document.loads(text, PageSpec, "block"))
        return
    whole = {**EXPERIMENT, **raw}
    if "flows" in raw:
        del whole["workload"]
    document.loads(document.dump(whole), ExperimentSpec, "block")


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


def test_topologies_on_pages_can_be_built(tmp_path):
    """Those that are whole: a page that says how to begin must not begin with a mistake."""
    texts = [param.values[0] for param in blocks("yaml")]
    whole = [text for text in texts if "nodes:" in text and "\nlinks:" in text]
    whole = [text for text in whole if "trace" not in text and "topology:" not in text]
    assert len(whole) > 2
    for number, text in enumerate(whole):
        path = tmp_path / f"{number}.yaml"
        path.write_text(text)
        resolve(load_topology(path))
