"""The manual page has all commands, and groff has nothing to say against it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from testbed.cli import commands
from testbed.cli.application import COMMANDS, application
from testbed.cli.manual import page


def test_every_command_has_its_section_with_its_options():
    text = page()
    for name in COMMANDS:
        hyphenated = name.replace("-", "\\-")
        assert f'.SS "{hyphenated}' in text
    assert "\\fB\\-\\-repetitions\\fR" in text
    assert "testbed run experiments/quickstart.yaml" in text


def test_commands_of_a_group_are_described():
    found = {it.name: it for it in commands.every()}
    assert found["testbed machine"].group
    build = found["testbed machine build"]
    assert build.usage.startswith("testbed machine build")
    (source,) = [it for it in build.parameters if it.names == ("--source",)]
    assert source.value == "DIR|debian:VERSION"
    assert source.help.startswith("A kernel tree")


def test_examples_keep_their_lines():
    (packetdrill,) = [it for it in commands.every() if it.name == "testbed packetdrill"]
    assert "    testbed packetdrill tests/vectors/packetdrill" in packetdrill.paragraphs
    assert packetdrill.summary.startswith("Run packetdrill's scripts")


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_groff_has_no_warnings():
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z"],
        input=page(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_install_puts_it_where_man_looks(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    result = CliRunner().invoke(application, ["man", "--install"])
    assert result.exit_code == 0
    path = Path(result.stdout.strip())
    assert path == tmp_path / "man" / "man1" / "testbed.1"
    assert path.read_text() == page()
