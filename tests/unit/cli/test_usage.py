"""Wrong command lines of every command: one line with the command, the fault and a remedy; 2."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from testbed.cli import commands
from testbed.cli.application import application


def invoke(*arguments):
    return CliRunner().invoke(application, list(arguments))


def complaint(*arguments):
    """Return the only line that a wrong command line leads to, without the program's name."""
    result = invoke(*arguments)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert result.stderr.startswith("testbed: ")
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr.removeprefix("testbed: ").rstrip()


COMMANDS = [each.name.split()[1:] for each in commands.every() if not each.group]
GROUPS = [each.name.split()[1:] for each in commands.every() if each.group]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_an_unknown_option_of_each_command(command):
    said = complaint(*command, "--frobnicate")
    name = " ".join(command)
    assert said.startswith(f"{name}: no such option: --frobnicate")
    assert said.endswith(f"; see `testbed {name} --help`")


@pytest.mark.parametrize("group", GROUPS, ids=lambda words: " ".join(("testbed", *words)))
def test_an_unknown_command_of_each_group(group):
    said = complaint(*group, "frobnicate")
    assert "no such command 'frobnicate'" in said


def test_a_command_that_is_almost_right():
    assert complaint("runn") == "no such command 'runn'; did you mean 'run'?"
    assert complaint("papers", "shw") == "papers: no such command 'shw'; did you mean 'show'?"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["schema", "nosuch"], ("schema", "document", "nosuch", "topology", "page")),
        (["run", "--jobs", "0", "x"], ("run", "--jobs", "1")),
        (["run", "--jobs", "many", "x"], ("run", "--jobs", "integer")),
        (["run", "--jobs"], ("run", "--jobs", "requires an argument")),
        (["run", "--again=3"], ("run", "--again", "does not take a value")),
        (["run", "--format", "tap", "x"], ("run", "--format", "tap", "ktap")),
        (["up"], ("up", "missing argument", "FILE")),
        (["set"], ("set", "missing argument", "name")),
        (["show", "a", "b", "c"], ("show", "unexpected")),
        (["papers", "run", "--sample", "x"], ("papers run", "--sample")),
        (["exec", "lab", "a", "--"], ("there is no program to run",)),
        (["exec", "lab", "a", "--stack", "tcp"], ("--stack", "program")),
    ],
    ids=lambda value: " ".join(value),
)
def test_wrong_values(arguments, words):
    said = complaint(*arguments)
    for word in words:
        assert word in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["up", "two_paths", "--name", ""], "'' is not a valid name for a sandbox"),
        (["machine", "build", "uml", "--source", ""], "is not a Linux source tree"),
    ],
)
def test_an_empty_value_is_no_default(arguments, message, tmp_path, monkeypatch):
    """A shell passes it for a variable that is not set."""
    monkeypatch.chdir(tmp_path)
    assert message in complaint(*arguments)


def test_control_characters_of_a_wrong_word_do_nothing():
    assert "\x1b" not in complaint("schema", "a\x1b[31m\nb")


def test_a_group_without_a_command_shows_its_help():
    result = invoke("papers")
    assert result.exit_code == 2
    assert "Usage: testbed papers" in result.output
