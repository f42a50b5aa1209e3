"""The places where experiments run: those of the command line, else of the files, else here."""

from __future__ import annotations

import os
from collections.abc import Sequence

from testbed.errors import InputError
from testbed.machine.model import HOST, VARIABLE, VIRTUAL_TIME

# Experiment files, each with the machines that it lists.
Wanted = tuple[Sequence[str], Sequence[str]]


def places(
    given: Sequence[str], wanted: Sequence[Wanted], *, virtual_time: bool
) -> dict[str, list[str]]:
    """Return the machines to start, in order, each with all the files to run there.

    An empty result means that this process runs them here. Files that list no machine run on the
    host, beside others that list one. Inside a machine, the lists of the files have been followed
    already.

    :param given: the machines that the command line names, which override those of files.
    :param virtual_time: whether their clocks are virtual.
    :raises InputError: the host would need a virtual clock.
    """
    if VARIABLE in os.environ:
        wanted = [(files, ()) for files, _ in wanted]
    if not (virtual_time or given or any(machines for _, machines in wanted)):
        return {}
    found: dict[str, list[str]] = {}
    for files, machines in wanted:
        for name in dict.fromkeys(given or machines or (HOST,)):
            found.setdefault(_virtual(name) if virtual_time else name, []).extend(files)
    return found


def _virtual(name: str) -> str:
    if name == HOST:
        raise InputError("--virtual-time needs a machine", hint="for example --machine uml:7.3")
    return name.removesuffix(VIRTUAL_TIME) + VIRTUAL_TIME
