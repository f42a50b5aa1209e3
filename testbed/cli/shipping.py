"""The common part of ``testbed experiments`` and ``testbed topologies``: listing and copying.

Annotations are evaluated in place, because one of them names a function of its group.
"""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from testbed import shipped
from testbed.cli.options import Json
from testbed.cli.output import console, print_json
from testbed.errors import InputError


def group(kind: str) -> typer.Typer:
    """Return the commands for ``topologies`` or ``experiments``."""
    example = "two_paths" if kind == shipped.TOPOLOGIES else "quickstart"
    verb = "up" if kind == shipped.TOPOLOGIES else "run"
    application = typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        no_args_is_help=True,
        help=f"""List and copy the {kind} that come with testbed.

        A command that takes such a file also takes one of their names, unless a file has that name.

        \b
            testbed {kind} list
            testbed {kind} copy {example}
            testbed {verb} {example}
        """,
    )

    def complete(incomplete: str) -> list[str]:
        return [name for name in shipped.names(kind) if name.startswith(incomplete)]

    def list_(json: Json = False) -> None:
        _list(kind, json=json)

    def copy(
        name: Annotated[
            list[str] | None,
            typer.Argument(
                metavar="NAME...", help="Names of files to copy.", autocompletion=complete
            ),
        ] = None,
        every: Annotated[bool, typer.Option("--all", help="Copy all of them.")] = False,
        to: Annotated[
            Path,
            typer.Option(
                metavar="DIR", help="The folder for the copies; created if it does not exist."
            ),
        ] = Path(),
        force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False,
    ) -> None:
        _copy(kind, name or [], every=every, to=to, force=force)

    application.command(
        "list",
        help=f"""List the {kind}, each with a line about it.

        \b
            testbed {kind} list
            testbed {kind} list --json
        """,
    )(list_)
    application.command(
        "copy",
        help=f"""Copy {kind}, with the files that they name, to change them.

        The copies go to DIR/{shipped.TOPOLOGIES} and DIR/{shipped.EXPERIMENTS}, so that paths
        between them stay valid. No file is overwritten without --force.

        \b
            testbed {kind} copy {example}
            testbed {kind} copy --all --to my-experiments
        """,
    )(copy)
    return application


def _list(kind: str, *, json: bool) -> None:
    from rich.table import Table

    found = list(shipped.every(kind))
    if json:
        print_json(
            [{"name": it.name, "description": it.description, "file": str(it.path)} for it in found]
        )
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("description", overflow="fold")
    for it in found:
        table.add_row(it.name, it.description)
    console().print(table)


def _copy(kind: str, names: list[str], *, every: bool, to: Path, force: bool) -> None:
    if every == bool(names):
        raise InputError("name the files to copy, or write --all")
    wanted = [it.name for it in shipped.every(kind)] if every else names
    sources = dict.fromkeys(
        path for name in wanted for path in shipped.bundle(shipped.find(kind, name))
    )
    copies = {path: to / _place(path) for path in sources}
    there = [str(path) for path in copies.values() if path.exists()]
    if there and not force:
        raise InputError(f"{', '.join(there)}: already there", hint="--force overwrites")
    for source, target in copies.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        typer.echo(target)


def _place(path: Path) -> Path:
    """Return the path of a shipped file below the folder of both kinds."""
    kinds = (shipped.TOPOLOGIES, shipped.EXPERIMENTS)
    top, kind = next(
        (top, kind) for kind in kinds if path.is_relative_to(top := shipped.folder(kind).resolve())
    )
    return Path(kind) / path.relative_to(top)
