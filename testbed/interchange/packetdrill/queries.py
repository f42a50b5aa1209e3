"""Queries of a script to the host: connection states with ss(8), counters with nstat(8)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from testbed.interchange.packetdrill.counters import COUNTERS, History
from testbed.interchange.packetdrill.model import UnsupportedError
from testbed.stack.connection import Connection
from testbed.stack.mptcp.connection import MptcpConnection
from testbed.stack.mptcp.state import DataState
from testbed.stack.tcp.connection import TcpConnection
from testbed.stack.tcp.state import State

_ESTABLISHED: Final = "ESTAB"


def holds(words: Sequence[str], history: History, line: int) -> bool:
    """Return whether a command would succeed.

    :param words: the words of ``ss OPTIONS | grep [-q] PATTERN``, with an optional ``!`` before it,
        or of ``test $(nstat OPTIONS | jq .kernel.NAME) -eq NUMBER``.
    :raises UnsupportedError: the command is another one.
    """
    negated = words[0] == "!"
    match words[1:] if negated else words:
        case ("ss", options, "|", "grep", *flags, pattern) if not flags or flags == ["-q"]:
            living = [one for one in history.connections if not one.closed]
            rows = _rows(living, subflows="t" in options)
            return any(re.search(pattern, row) for row in rows) != negated
        case ("test", "$(nstat", _, "|", "jq", name, "-eq", number):
            name = name.removeprefix(".kernel.").rstrip(")")
            count = COUNTERS.get(name)
            if count is None:
                raise UnsupportedError(f"the counter {name}", line)
            return count(history) == int(number)
        case _:
            raise UnsupportedError(f"the command {' '.join(words)!r}", line)


def _rows(connections: Sequence[Connection], *, subflows: bool) -> list[str]:
    """Return the lines of ss(8) for MPTCP connections, and for TCP if requested."""
    rows: list[str] = []
    for one in connections:
        if isinstance(one, MptcpConnection):
            rows.append(f"mptcp {_data_state(one.state)}")
            below = [subflow.attached for subflow in one.subflows]
        else:
            below = [one] if isinstance(one, TcpConnection) else []
        if subflows:
            rows += [f"tcp {_state(tcp.state)}" for tcp in below if tcp is not None]
    return rows


def _data_state(state: DataState) -> str:
    name = state.value.removeprefix("M_").replace("_", "-")
    return _ESTABLISHED if state is DataState.ESTABLISHED else name


def _state(state: State) -> str:
    return _ESTABLISHED if state is State.ESTABLISHED else state.value
