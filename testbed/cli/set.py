"""``testbed set``: change how a wire of a running sandbox is shaped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from testbed.cli import completion, live
from testbed.cli.options import Json, Sandbox


def command(
    name: Sandbox,
    link: live.Link,
    options: Annotated[
        list[str],
        typer.Argument(
            metavar="OPTION=VALUE...",
            help="Options of the wire, as in a topology. The value none removes an option.",
            autocompletion=completion.wire_options,
        ),
    ],
    toward: Annotated[
        str | None,
        typer.Option(
            help="Only the direction to this node; default: both.",
            autocompletion=completion.ends,
        ),
    ] = None,
    dry_run: live.DryRun = False,
    json: Json = False,
) -> None:
    """Change how a wire of a running sandbox is shaped.

    Other options keep their values, and queued packets are not lost. The command changes all
    options or none, reads them back from the engine, and prints the equivalent tc(8) commands.

    Examples:

        testbed set lab wifi loss=10% delay=40ms
        testbed set lab wifi --toward client rate=5mbit
        testbed set lab wifi "delay=40ms 5ms distribution normal" loss=none
        testbed set lab wifi loss=1% --dry-run
    """
    from testbed.topology.present import SetShaping

    change = SetShaping(link=link, options=_parsed(options), toward=toward)
    live.carry_out(name, change, dry_run=dry_run, json=json)


def _parsed(words: list[str]) -> dict[str, str | int | float]:
    """Read ``OPTION=VALUE`` words.  Raises InputError."""
    from testbed.errors import InputError

    found: dict[str, str | int | float] = {}
    for word in words:
        option, equals, value = word.partition("=")
        if not equals or not option or not value:
            raise InputError(f"{word!r} is not OPTION=VALUE", hint="write for example loss=10%")
        if option in found:
            raise InputError(f"{option!r} is given twice")
        if option == "trace" and value != "none":  # the sandbox reads it in another directory
            value = str(Path(value).absolute())
        found[option] = value
    return found
