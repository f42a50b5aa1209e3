"""The command line: commands by name, and the options and help of all of them."""

from __future__ import annotations

import importlib
import sys
from typing import Annotated, Any, Final, cast

import typer
from typer.core import TyperCommand, TyperGroup

from testbed import __version__, compiled
from testbed.cli.ending import told
from testbed.cli.helptext import of as help_of
from testbed.cli.usage import usage_told
from testbed.errors import InputError, PlatformError
from testbed.hints import nearest

# In the order of ``testbed --help``: describe, use, measure and diagnose networks.
COMMANDS: Final = (
    "init",
    "topologies",
    "experiments",
    "check",
    "schema",
    "plan",
    "up",
    "down",
    "status",
    "exec",
    "shell",
    "set",
    "link",
    "address",
    "endpoint",
    "capture",
    "watch",
    "nc",
    "with-stack",
    "packetdrill",
    "run",
    "show",
    "compare",
    "baseline",
    "history",
    "bisect",
    "papers",
    "report",
    "serve",
    "import",
    "export",
    "metrics",
    "stacks",
    "plugins",
    "machine",
    "trace",
    "page",
    "doctor",
    "man",
)

_RESERVED: Final = ("exec", "import")


class Commands(TyperGroup):
    """The commands by name. A command is imported when it is used, so that the start is fast."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the base class's signature
        """Return the names in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | None:  # noqa: ARG002 - same
        """Import the module of ``cmd_name``; return ``None`` if the command does not exist."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(_module(cmd_name))
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        if hasattr(module, "application"):
            alone.add_typer(module.application, name=cmd_name)
            group = cast("TyperGroup", typer.main.get_command(alone))
            return cast("TyperCommand", group.commands[cmd_name])
        settings: dict[str, Any] | None = getattr(module, "CONTEXT_SETTINGS", None)
        alone.command(cmd_name, help=help_of(module.command), context_settings=settings)(
            module.command
        )
        return cast("TyperCommand", typer.main.get_command(alone))  # the command itself

    def make_context(self, *arguments: Any, **extra: Any) -> Any:
        """Parse the command line; ``--help`` and ``--version`` are handled here."""
        with told(), usage_told():
            return super().make_context(*arguments, **extra)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the first word names.

        :raises InputError: there is no such command.
        """
        if args[0] not in COMMANDS and not ctx.resilient_parsing:
            raise InputError(f"no such command {args[0]!r}", hint=nearest(args[0], COMMANDS))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command. An error becomes one line on stderr and an exit code."""
        with told(), usage_told(ctx):
            return super().invoke(ctx)


def _module(command: str) -> str:
    """Return the module of a command, with a ``_`` appended if the name is reserved in Python."""
    name = command.replace("-", "_")
    return f"{__package__}.{name}{'_' if command in _RESERVED else ''}"


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"testbed {__version__}")
        raise typer.Exit


def _look_at_build() -> None:
    """Print a note if compiled modules are not used because their sources have changed.

    :raises PlatformError: TESTBED_COMPILED requires compiled modules, which are missing.
    """
    try:
        status = compiled.status()
    except ImportError as error:
        raise PlatformError(
            "the compiled modules are missing",
            why=str(error),
            instead=f"unset {compiled.VARIABLE} to run the sources",
        ) from None
    if status.stale:
        print(f"testbed: {status.why}", file=sys.stderr)


application = typer.Typer(
    name="testbed",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@application.callback()
def _testbed(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """A laboratory for Multipath TCP.

    One YAML file describes a network of shaped paths. The same workload runs over it with TCP and
    with MPTCP. Each result has a proof of the protocol that ran.

    Exit codes: 0 ok, 1 failed, 2 bad input, 3 an expectation is not met or something regressed, 4
    this machine cannot do it, 130 interrupted, 141 the program that read the output has ended.
    """
    _look_at_build()
