"""Several subflows between two addresses, told apart by ports (Raiciu et al., SIGCOMM 2011).

There are as many as the limit allows, all between the first two addresses.  In a data centre equal
paths are chosen by a hash of addresses and ports, so each subflow may take another one.  The
initiator opens them; no address is announced, and none that the peer announces is used.  A subflow
that has ended is not opened again.

C. Raiciu et al., "Improving Datacenter Performance and Robustness with Multipath TCP", 2011;
the name is that of the path manager of the MPTCP that was outside of Linux.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from testbed.packet.address import Address
from testbed.stack.mptcp.path_manager.base import (
    Command,
    OpenSubflow,
    Passive,
    PathEndpoint,
    PathLimits,
    Paths,
)


class DifferentPorts(Passive):
    """One connection's."""

    def __init__(self, endpoints: Sequence[PathEndpoint], limits: PathLimits) -> None:
        self._limits = limits
        self._backup = {one.host for one in endpoints if one.backup}

    def established(self, paths: Paths) -> Iterator[Command]:
        """Open all of them, unless the peer takes no joins to its address."""
        host, remote = paths.initial.local_host, paths.remotes[0]
        if not paths.initiator or paths.join_initial_denied:
            return
        for _ in range(self._left(paths)):
            yield OpenSubflow(
                local_host=host, local_id=0, remote=remote, backup=host in self._backup
            )

    def accepts_join(self, paths: Paths, local: Address, *, listening: bool) -> bool:
        """Tell whether the port is open and the limit leaves room."""
        del local
        return listening and self._left(paths) > 0

    def _left(self, paths: Paths) -> int:
        return self._limits.subflows - max(0, len(paths.open_paths) - 1)
