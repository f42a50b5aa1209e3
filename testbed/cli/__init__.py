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


def main() -> None:
    """Run the command line and exit with its code."""
    from testbed.cli.application import application

    application(prog_name="testbed")
