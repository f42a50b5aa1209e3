"""The ``testbed`` command.

Each command is one module here with a function ``command``; its docstring is the help, in which
indented paragraphs (examples) keep their lines.  A module with an ``application`` is a group of
commands instead.  ``CONTEXT_SETTINGS``, if there are any, are
click's, for commands that pass options on to another program.

A module is imported when its command is used, and imports what is heavy inside its function.
:mod:`testbed.cli.ending` alone turns errors into exit codes (see :mod:`testbed.errors`): commands
raise.
"""

from __future__ import annotations

import os
import sys
from typing import Final

# How /dev/null is opened for each one that is closed.  Input is empty, messages are lost, and
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

    Otherwise Python has no object for it, and the next file or socket gets its number.
    """
    for number, (name, access, mode) in enumerate(_STANDARD):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, access)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)  # noqa: FBT003 - for programs that are started
            setattr(sys, name, os.fdopen(number, mode, closefd=False))
