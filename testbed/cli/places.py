"""Where experiments run: where the command line says, else where they say, else here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from testbed.errors import InputError
from testbed.machine.model import HOST, VARIABLE

_VIRTUAL_TIME: Final = "+virtual-time"

# Words of the command line, and the machines that what they name wants to run in.
Errand = tuple[Sequence[str], Sequence[str]]


def places(
    given: Sequence[str], errands: Sequence[Errand], *, virtual_time: bool
) -> dict[str, list[str]]:
    """Return the machines to start, in order, each with the words for all it has to do there.

    None at all means: here, by this very process.  An errand that wants no machine is run on the
    host, beside others that do.  Inside of a machine what errands want has been followed already.

    :param given: the machines that the command line names; they go before what errands want.
    :param virtual_time: their clocks are virtual ones.
    :raises InputError: this host's clock would have to be.
    """
    if VARIABLE in os.environ:
        errands = [(words, ()) for words, _ in errands]
    if not (virtual_time or given or any(wanted for _, wanted in errands)):
        return {}
    found: dict[str, list[str]] = {}
    for words, wanted in errands:
        for name in dict.fromkeys(given or wanted or (HOST,)):
            found.setdefault(_virtual(name) if virtual_time else name, []).extend(words)
    return found


def _virtual(name: str) -> str:
    if name == HOST:
        raise InputError("--virtual-time needs a machine", hint="for example --machine uml:7.3")
    return name.removesuffix(_VIRTUAL_TIME) + _VIRTUAL_TIME
