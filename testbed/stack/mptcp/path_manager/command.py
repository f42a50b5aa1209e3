"""Programs manage the paths, as with the kernel's net/mptcp/pm_userspace.c.

The manager returns no commands. A program issues them (:mod:`testbed.stack.mptcp.path_control`) and
receives the events of a tracer. On a real interface it does so through a Unix socket
(:mod:`testbed.host.commands`).

Unlike in Linux, ``limits.subflows`` limits the joins of the peer, and they are accepted even if no
program listens to events.
"""

from __future__ import annotations

from collections.abc import Sequence

from testbed.packet.address import Address
from testbed.stack.mptcp.path_manager.base import Passive, PathEndpoint, PathLimits, Paths


class Commanded(Passive):
    """The manager of one connection whose paths programs manage."""

    def __init__(self, endpoints: Sequence[PathEndpoint], limits: PathLimits) -> None:
        del endpoints  # programs name the addresses to use
        self._limits = limits

    def accepts_join(self, paths: Paths, local: Address, *, listening: bool) -> bool:
        """Return whether the port is open and the limit is not reached."""
        del local
        return listening and len(paths.open_paths) <= self._limits.subflows
