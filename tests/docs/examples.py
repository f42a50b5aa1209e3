"""The commands that help texts show, as pages: ``testbed run --help`` is one of them.

Help texts have them in paragraphs that are not wrapped.  ``examples.yaml`` says what is done
otherwise, as ``commands.yaml`` does for pages.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from typer.main import get_command

from testbed.cli.application import application
from tests.docs import pages

RULES: Final = pages.RULES.with_name("examples.yaml")
_KEPT: Final = "\b\n"  # the mark by which click does not wrap a paragraph


def rules() -> dict[str, pages.Rules]:
    """Return what is done otherwise, by the name of the command."""
    return msgspec.yaml.decode(RULES.read_text(), type=dict[str, pages.Rules])


def shown() -> dict[str, list[str]]:
    """Return what the help of each command shows, that of its own commands included."""
    whole: Any = get_command(application)
    return {name: list(dict.fromkeys(_of(command))) for name, command in _commands(whole)}


def wrapped() -> list[str]:
    """Return the lines of commands that click would wrap, as they stand in no such paragraph."""
    whole: Any = get_command(application)
    return [
        line
        for command in _all(whole)
        for paragraph in (command.help or "").split("\n\n")
        if not paragraph.startswith(_KEPT)
        for line in paragraph.splitlines()
        if line.startswith(" ")
    ]


def _all(command: Any) -> Iterator[Any]:
    yield command
    for _, each in _commands(command):
        yield from _all(each)


def page(commands: list[str], folder: Path) -> Path:
    """Write a page with commands."""
    written = folder / "page.md"
    text = "".join(f"$ {command}\n" for command in commands)
    written.write_text(f"```console\n{text}```\n")
    return written


def _commands(group: Any) -> Iterator[tuple[str, Any]]:
    if not hasattr(group, "list_commands"):
        return
    context = click.Context(group)
    for name in group.list_commands(context):
        yield name, group.get_command(context, name)


def _of(command: Any) -> Iterator[str]:
    for paragraph in (command.help or "").split("\n\n"):
        if paragraph.startswith(_KEPT):
            yield from (line.strip() for line in paragraph.removeprefix(_KEPT).splitlines())
    for _, each in _commands(command):
        yield from _of(each)
