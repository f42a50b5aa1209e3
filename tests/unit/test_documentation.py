"""The examples of the documentation work."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from testbed.cli.application import application
from testbed.middlebox.kinds import KINDS
from tests import example

DOCS = Path(__file__).parents[2] / "docs"
EXPERIMENT = """\
topology:
  nodes: {client: {}, server: {}}
  links: {wifi: {between: [client, server], netem: {rate: 20mbit, delay: 10ms}}}
stacks: [userspace]
workload: {kind: bulk, from: client, to: server, size: 100KB}
"""


def test_conversation_without_a_network(capsys: pytest.CaptureFixture[str]) -> None:
    """The example of docs/stack.md ends with the server's ACK of ``hello``."""
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "stack.md").read_text(), flags=re.DOTALL)
    (example,) = [block for block in blocks if "TcpEndpoint(" in block]
    exec(example, {})
    syn, syn_ack, hello, ack = capsys.readouterr().out.splitlines()
    assert "[S]" in syn
    assert "[S.]" in syn_ack
    assert "len 5" in hello
    assert ack.startswith("10.0.0.2:80 > 10.0.0.1:4000 [.]")


def test_a_script_runs_an_experiment(tmp_path: Path) -> None:
    """The first example of docs/api.md is a whole program."""
    example, _ = re.findall(r"```python\n(.*?)```", (DOCS / "api.md").read_text(), flags=re.DOTALL)
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "quickstart.yaml").write_text(EXPERIMENT)
    (tmp_path / "script.py").write_text(example)
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout.startswith("userspace ")


def test_a_program_runs_a_script_of_packetdrill(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The example of docs/packetdrill.md."""
    monkeypatch.chdir(DOCS.parent)
    (block,) = re.findall(
        r"```python\n(.*?)```", (DOCS / "packetdrill.md").read_text(), flags=re.DOTALL
    )
    exec(block, {})
    assert capsys.readouterr().out.strip() == "Verdict.PASS None"


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert "://" in target or (page.parent / target).exists(), target


def test_the_map_of_the_stack_names_files_that_are_there() -> None:
    stack = DOCS.parent / "testbed" / "stack"
    text = (DOCS / "stack.md").read_text()
    named = set(re.findall(r"`((?:mptcp|packet|tcp)/[a-z_/]+(?:\.py|/))`", text))
    assert len(named) > 15
    places = (stack, stack.parent)
    assert [it for it in named if not any((place / it).exists() for place in places)] == []


def test_the_page_on_plugins_shows_the_package_that_is_tested() -> None:
    """Each block of code is a whole file of it, and each file is shown."""
    text = (DOCS / "plugins.md").read_text()
    shown = re.findall(r"```(?:python|toml)\n(.*?)```", text, flags=re.DOTALL)
    files = [
        example.PACKAGE / "pyproject.toml",
        *(file for file in (example.PACKAGE / "testbed_example").glob("[a-z]*.py")),
    ]
    assert sorted(shown) == sorted(file.read_text() for file in files)


def test_the_experiment_with_plugins_is_right(example_site: Path, tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", (DOCS / "plugins.md").read_text(), flags=re.DOTALL)
    (tmp_path / "try.yaml").write_text(text)
    with example.beside(example_site):
        options = ["--sim", "--results", str(tmp_path / "results")]
        done = CliRunner().invoke(application, ["run", *options, str(tmp_path / "try.yaml")])
    assert done.exit_code == 0, done.output
    assert "pass: echo_time_spread of theirs" in done.output


def test_the_boxes_that_are_described_are_those_there_are() -> None:
    _, _, text = (DOCS / "middleboxes.md").read_text().partition("## The boxes")
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", text.partition("## ")[0], re.MULTILINE)
    described = {name: set(re.findall(r"`(\w+)", options)) for name, options in rows}
    there = {name: set(KINDS[name].options.__struct_fields__) for name in KINDS.own()}
    assert described == there
