"""Errors of the command line that typer finds, as errors of ours: one line each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Final, cast

import typer

from testbed.errors import InputError

# The base class of all of them. It is click's, or that of the copy of click in newer releases of
# typer.
_UsageError: Final = cast("type[Exception]", typer.BadParameter.__base__)

_WORDS: Final = (
    ("Value error, ", ""),
    ("Input should", "it should"),
    ("(Possible", "(possible"),
    (". Did you mean", "; did you mean"),
)


@contextlib.contextmanager
def usage_told(context: Any = None) -> Iterator[None]:
    """Raise an error of the command line as an :class:`InputError`.

    :param context: typer's, of the program; it names the command if the error does not.
    """
    try:
        yield
    except _UsageError as error:
        if _is_help(error):
            raise
        raise _converted(error, context) from None


def _is_help(error: Any) -> bool:
    """Return whether it is the help of a group that was named without a command."""
    return type(error).show is not _show(_UsageError)


def _show(kind: Any) -> Any:
    return kind.show


def _converted(error: Any, context: Any) -> InputError:
    """Return the error, with the command as its place and the command's help as its remedy."""
    text = " ".join(error.format_message().split()).rstrip(".")
    for theirs, ours in _WORDS:
        text = text.replace(theirs, ours)
    text = text[:1].lower() + text[1:]
    command = _command(error.ctx, context)
    name = command.removeprefix("testbed").strip()
    hint = None if text.endswith("?") else f"see `{command} --help`"
    return InputError(text, path=name or None, hint=hint)


def _command(of_error: Any, of_program: Any) -> str:
    if of_error is not None:
        return str(of_error.command_path)
    invoked = of_program and of_program.invoked_subcommand
    return f"testbed {invoked}" if invoked else "testbed"
