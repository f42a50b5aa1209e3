"""The output of commands: a console for people, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import IO, TYPE_CHECKING, Any

import msgspec

from testbed.text import clean

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console
    from rich.text import Text

    from testbed.errors import InputError, TestbedError


def tell_left_out(errors: Iterable[InputError]) -> None:
    """Print the errors of broken plugins that no option names on standard error."""
    for error in errors:
        print(clean(f"testbed: left out: {error}"), file=sys.stderr)


def tell(error: TestbedError) -> None:
    """Print an error that does not end the command, for example of a file that is skipped."""
    print(clean(f"testbed: {error}"), file=sys.stderr)


def print_json(value: Any) -> None:
    """Print ``value``, anything msgspec can encode, as one JSON document."""
    encoded = msgspec.json.encode(value)
    sys.stdout.write(msgspec.json.format(encoded, indent=2).decode() + "\n")


def check_documents(**wanted: object) -> None:
    """Refuse several documents for standard output, each named after its option.

    :param wanted: whether each is wanted. A path is, if it is ``-``.
    :raises InputError: more than one is wanted.
    """
    from pathlib import Path

    from testbed.errors import InputError

    found = [
        f"--{name} -" if isinstance(value, Path) else f"--{name}"
        for name, value in wanted.items()
        if (str(value) == "-" if isinstance(value, Path) else value)
    ]
    if len(found) > 1:
        raise InputError(
            f"{' and '.join(found)} would all go to standard output", hint="choose one of them"
        )


def write_file(path: Path, text: str) -> None:
    """Write a document to a file that the user named.

    :raises InputError: it cannot be written. Then an old file stays.
    """
    from testbed.errors import InputError
    from testbed.replacing import replace_file

    try:
        replace_file(path, text)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror}", hint="name another file"
        ) from error


def write_new(path: Path, text: str, *, force: bool) -> None:
    """Write a document to a new file that the user named.

    :param force: whether to overwrite an existing file.
    :raises InputError: the file exists, or cannot be written.
    """
    from testbed.errors import InputError

    if path.exists() and not force:
        raise InputError(f"{path} exists already", hint="--force overwrites it")
    write_file(path, text)


def console(*, stderr: bool = False, file: IO[str] | None = None) -> Console:
    """Return the console: with colours on a terminal, with plain text otherwise.

    A string is printed literally: rich does not interpret markup or names of emoji in it (an IPv6
    address may contain ``:100:``), and control characters are escaped. Colours are those of
    ``rich.text.Text``.

    :param file: the output file, if not a standard stream.

    Without a terminal the width is that of a wide table, so that no line is cut in a log.
    """
    from rich.console import Console

    class Plain(Console):
        """Prints strings literally."""

        def render_str(self, text: str, **options: Any) -> Text:
            """Return the text to print for a string, also in a table."""
            return super().render_str(clean(text), **options)

        def on_broken_pipe(self) -> None:
            """Leave the error to :mod:`testbed.cli.ending`."""
            raise  # noqa: PLE0704 - rich calls this while it handles the error

    plain = Plain(stderr=stderr, file=file, highlight=False, markup=False, emoji=False)
    if not plain.is_terminal:
        plain.width = 160
    return plain


def yes_or_no(answer: bool) -> Text:
    """Return the word in its colour."""
    from rich.text import Text

    return Text("yes", "green") if answer else Text("no", "red")
