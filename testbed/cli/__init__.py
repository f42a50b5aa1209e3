"""The ``testbed`` command.

Each command is a module of this package with a function ``command``. Its docstring is the help, in
which indented paragraphs (examples) keep their lines. A module with an ``application`` is a group
of commands instead. Long declarations of options are named types above the function; those of
several commands are in :mod:`testbed.cli.options`. The optional ``CONTEXT_SETTINGS`` are click's,
for commands that pass options on to another program.

A module is imported when its command is used, and imports large libraries inside its function.
Commands raise errors; only :mod:`testbed.cli.ending` converts them to exit codes (see
:mod:`testbed.errors`).
"""

from __future__ import annotations

import os
import sys
from typing import Final

# How /dev/null is opened for each closed stream.  Input is empty, messages are lost, and
# writing output fails.
_STANDARD: Final = (
    ("stdin", os.O_RDONLY, "r"),
    ("stdout", os.O_RDONLY, "w"),
    ("stderr", os.O_WRONLY, "w"),
)


def main() -> None:
    """Run the command line and exit with its code."""
    _replace_closed_streams()
    from testbed.cli.application import application

    application(prog_name="testbed")


def _replace_closed_streams() -> None:
    """Open /dev/null for each standard stream that is closed.

    Otherwise Python has no object for the stream, and the next file or socket gets its number.
    """
    for number, (name, access, mode) in enumerate(_STANDARD):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, access)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)  # noqa: FBT003 - for programs that are started
            setattr(sys, name, os.fdopen(number, mode, closefd=False))
