"""`testbed machine`: the machines for runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from testbed.cli import completion, helptext
from testbed.cli.ending import end_on_sigterm
from testbed.cli.exec_ import program
from testbed.cli.options import Argv, Json
from testbed.cli.output import console, print_json, yes_or_no
from testbed.errors import InputError

_PASS_ON: Final = {"allow_interspersed_args": False}

Name = Annotated[
    str,
    typer.Argument(
        metavar="M", help="A machine, for example qemu:6.1.", autocompletion=completion.machines
    ),
]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A machine in the output of `list`."""

    name: str
    ok: bool
    why: str
    remedy: str


def list_(json: Json = False) -> None:
    """List the machines. If one does not work here, say why.

    Examples:

        testbed machine list
        testbed machine list --json
    """
    found = rows()
    if json:
        print_json({"machines": found})
    else:
        print_rows(found)


def fetch(name: Name) -> None:
    """Fetch the newest kernel of that name, without installing it.

    The package tool of this distribution fetches it to $XDG_CACHE_HOME/testbed. A version means the
    newest kernel of that version, from this release or another, in the smallest flavour. A run in a
    machine whose kernel is missing fetches it itself.

    Examples:

        testbed machine fetch qemu:6.1
        testbed machine fetch qemu:linux-image-6.12.107+deb13-amd64
    """
    from testbed.machine import kernels, machine

    kind, _, kernel = name.partition(":")
    machine(name)
    if kind != "qemu":
        raise InputError(f"{name} cannot be fetched", hint="uml:... is built: see build --help")
    found = kernels.fetch(kernel)
    typer.echo(f"Linux {found.release}: {found.image}")


def build(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="The kind of kernel: uml.")],
    source: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|debian:VERSION",
            help="A kernel tree, or Debian's source; default: the newest known to work.",
        ),
    ] = None,
) -> None:
    """Build a user-mode Linux, and cache it.

    It is built again when its source has changed. A build takes minutes, and needs a C compiler,
    make, flex, bison and bc. It uses ccache if that is installed. After Ctrl-C the next build of
    the same source continues.

    Examples:

        testbed machine build uml
        testbed machine build uml --source debian:6.12
        testbed machine build uml --source ~/linux
        testbed run --machine uml:$HOME/linux experiments/quickstart.yaml
    """
    if kind != "uml":
        raise InputError(
            f"{kind} cannot be built",
            hint="uml can; for a kernel that make has built, use qemu:PATH",
        )
    from testbed.cli.building import watcher
    from testbed.machine.uml.build import build as build_uml
    from testbed.machine.uml.builds import DEBIAN
    from testbed.machine.uml.kind import OFFERED

    chosen = DEBIAN + OFFERED[-1] if source is None else source
    built = build_uml(chosen, watcher())
    typer.echo(f"Linux {built.version}: {built.linux}")


def prune(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list what would be removed.")
    ] = False,
) -> None:
    """Remove unneeded builds of user-mode Linux from the cache.

    A build is removed if its source tree is gone, if it is Debian's and another version of testbed
    configured it, or if it was interrupted. A build that is running is kept.

    Examples:

        testbed machine prune --dry-run
        testbed machine prune
    """
    from testbed.machine.uml.builds import prune as pruned

    for leftover in pruned(remove=not dry_run):
        typer.echo(f"{leftover.path}: {leftover.why} ({leftover.octets / 1e6:.0f} MB)")


def shell(name: Name) -> None:
    """Open a shell in a machine ($SHELL, or /bin/sh).

    All files of this host are there. The machine may change them, but the changes are lost when it
    ends.

    Examples:

        testbed machine shell qemu:6.1
    """
    raise typer.Exit(run_in(name, [os.environ.get("SHELL", "/bin/sh")], (), None, terminal=True))


def exec_(
    name: Name,
    argv: Argv,
    writable: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="Keep the files it writes in DIR; may be given again."),
    ] = None,
    limit: Annotated[
        float | None,
        typer.Option(min=0, metavar="SECONDS", help="End the machine after this time."),
    ] = None,
) -> None:
    """Run a program of this host in a machine.

    It starts in this directory, with this environment and an empty standard input. Files that it
    writes are lost when the machine ends, except those in --writable directories. The exit status
    is the program's.

    Examples:

        testbed machine exec qemu:6.12 -- uname -r
        testbed machine exec --writable out qemu:6.1 -- make -C tests O=out
    """
    raise typer.Exit(run_in(name, program(argv), writable or (), limit))


def run_in(
    name: str,
    argv: Sequence[str],
    writable: Sequence[Path],
    limit_s: float | None,
    *,
    terminal: bool = False,
) -> int:
    """Run a program in a machine; return its exit status."""
    import tempfile

    from testbed.cli.elsewhere import check
    from testbed.machine import Program, machine

    for path in writable:
        if not os.path.isdir(path):  # noqa: PTH112 - also of names that are too long
            raise InputError(f"--writable {path}: is not a directory")
    found = machine(name)
    check(found)
    wanted = Program(
        argv=argv,
        directory=Path.cwd(),
        environment=os.environ,
        writable=[path.resolve() for path in writable],
        terminal=terminal,
    )
    end_on_sigterm()
    with tempfile.TemporaryDirectory(prefix="testbed-") as scratch:
        return found.execute(wanted, console=Path(scratch, "console"), limit_s=limit_s)


def rows() -> list[Row]:
    """Return the machines and whether they work."""
    from testbed.machine import machines

    found = []
    for machine in machines():
        it = machine.availability()
        found.append(Row(name=machine.name, ok=it.ok, why=it.why, remedy=it.remedy))
    return found


def print_rows(found: Sequence[Row]) -> None:
    """Print the machines as a table."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("machine", "", "state"):
        table.add_column(title, overflow="fold")
    for row in found:
        remedy = f"\ntry: {row.remedy}" if row.remedy else ""
        table.add_row(row.name, yes_or_no(row.ok), f"{row.why}{remedy}")
    console().print(table)


_COMMANDS: Final[dict[str, Callable[..., None]]] = {
    "list": list_,
    "fetch": fetch,
    "build": build,
    "prune": prune,
    "shell": shell,
    "exec": exec_,
}
application = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="""Manage the machines in which runs can happen.

    \b
        testbed machine list
        testbed machine exec qemu:6.1 -- uname -r
        testbed run --machine qemu:6.1 experiments/quickstart.yaml
    """,
)
for _name, _function in _COMMANDS.items():
    _settings = _PASS_ON if _function is exec_ else None
    application.command(_name, help=helptext.of(_function), context_settings=_settings)(_function)
