"""Where experiments run: where the command line says, else where they say, else here."""

from __future__ import annotations

import os
from collections.abc import Sequence

from testbed.errors import InputError
from testbed.machine.model import HOST, VARIABLE, VIRTUAL_TIME

# Experiment files, and the machines they want to run in.
Wanted = tuple[Sequence[str], Sequence[str]]


def places(
    given: Sequence[str], wanted: Sequence[Wanted], *, virtual_time: bool
) -> dict[str, list[str]]:
    """Return the machines to start, in order, each with all the files to run there.

    None at all means: here, by this very process.  What wants no machine is run on the host,
    beside others that do.  Inside of a machine what files want has been followed already.

    :param given: the machines that the command line names; they go before what files want.
    :param virtual_time: their clocks are virtual ones.
    :raises InputError: this host's clock would have to be.
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
