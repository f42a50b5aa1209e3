"""``testbed man``: the manual page, generated from the commands."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from testbed.cli.output import write_file


def command(
    install: Annotated[
        bool, typer.Option("--install", help="Write it where man(1) finds it, for this user.")
    ] = False,
) -> None:
    """Print the manual page of all commands, as man(7) source.

    --install writes it to $XDG_DATA_HOME/man/man1, by default ~/.local/share/man/man1. man(1)
    searches there if ~/.local/bin is in $PATH.

    Examples:

        testbed man | man -l -
        testbed man --install
    """
    from testbed.cli.manual import page

    text = page()
    if not install:
        typer.echo(text, nl=False)
        return
    home = os.environ.get("XDG_DATA_HOME") or Path("~/.local/share").expanduser()
    path = Path(home, "man", "man1", "testbed.1")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, text)
    typer.echo(path)
