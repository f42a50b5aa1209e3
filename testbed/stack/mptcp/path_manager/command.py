"""Programs decide, on a Unix socket: as with net/mptcp/pm_userspace.c of the kernel.

The manager decides nothing.  A program gives commands (:mod:`testbed.stack.mptcp.path_control`),
and hears of events as any tracer does.  On a real interface it does so through a Unix socket
(:mod:`testbed.host.commands`).

Unlike in Linux, joins of the peer are limited by ``limits.subflows``, and are taken also while no
program listens to events.
"""

from __future__ import annotations

from collections.abc import Sequence

from testbed.packet.address import Address
from testbed.stack.mptcp.path_manager.base import Passive, PathEndpoint, PathLimits, Paths


class Commanded(Passive):
    """One connection's."""

    def __init__(self, endpoints: Sequence[PathEndpoint], limits: PathLimits) -> None:
        del endpoints  # it uses what it is told to
        self._limits = limits

    def accepts_join(self, paths: Paths, local: Address, *, listening: bool) -> bool:
        """Tell whether the port is open and the limit leaves room."""
        del local
        return listening and len(paths.open_paths) <= self._limits.subflows
