"""Output for people: words of any source are printed unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from testbed.cli import machine
from testbed.cli.application import application
from testbed.cli.output import console, write_file
from testbed.cli.progress import Lines, Live
from testbed.errors import InputError
from testbed.results.model import RunRecord, Status

EXPERIMENT = """\
description: "as in [/5] and [bold], at fd00:100::1, \\e[31m"
topology: {nodes: {a: {}, b: {}}, links: {ab: {between: [a, b]}}}
stacks: [userspace-tcp]
repetitions: 1
workload: {kind: bulk, size: 64kb, from: a, to: b}
"""


@pytest.mark.parametrize("text", ["as in [/5]", "[bold]", "fd00:100::1", "±1 µs"])
def test_text_is_printed_as_it_is(capsys, text):
    console().print(text)
    assert capsys.readouterr().out == f"{text}\n"


def test_text_does_nothing_to_a_terminal(capsys):
    console().print("a\x1b[31mb\x07")
    assert capsys.readouterr().out == "a\\x1b[31mb\\x07\n"


def test_a_description_is_printed_as_it_is_in_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "try.yaml").write_text(EXPERIMENT)
    done = CliRunner().invoke(application, ["run", "--sim", "try.yaml"])
    assert done.exit_code == 0, done.stderr
    title = done.stdout.splitlines()[0]
    assert title == "try: as in [/5] and [bold], at fd00:100::1, \\x1b[31m"


def test_a_machine_is_listed_by_the_name_its_source_has(capsys):
    row = machine.Row(name="uml:/a[/red]", ok=True, why="", remedy="")
    machine.print_rows([row])
    assert "uml:/a[/red]  yes" in capsys.readouterr().out


@pytest.mark.parametrize("target", ["", "missing/file"])
def test_a_file_that_cannot_be_written_is_named(target, tmp_path) -> None:
    with pytest.raises(InputError, match=r"cannot be written: .*name another file"):
        write_file(tmp_path / target, "text")


def test_a_full_disk_is_named() -> None:
    with pytest.raises(InputError, match=r"/dev/full cannot be written: No space left"):
        write_file(Path("/dev/full"), "text")


def test_names_in_the_progress_do_nothing_to_a_terminal(capsys) -> None:
    record = RunRecord(
        number=1,
        stack="a\x1b[31mred",
        parameters={},
        repetition=1,
        seed=1,
        status=Status.FAILED,
        reason="\x1b[2J",
        started_at="",
        seconds=1.0,
        metrics={},
    )
    for lines in (Lines("b\x1b[1m", 2), Live("b\x1b[1m", 2)):
        lines.end(record)
        said = capsys.readouterr().err
        assert "\x1b" not in said
        assert "a\\x1b[31mred: failed" in said
