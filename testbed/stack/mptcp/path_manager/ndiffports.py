"""Several subflows between the same two addresses (Raiciu et al., SIGCOMM 2011).

The initiator opens as many as the limit allows, with different local ports. In a data centre, ECMP
selects the path by a hash of addresses and ports, so each subflow may take another path. No address
is announced, and announced addresses are ignored. A subflow that has ended is not opened again.

C. Raiciu et al., "Improving Datacenter Performance and Robustness with Multipath TCP", SIGCOMM
2011. The out-of-tree MPTCP of Linux had a path manager of this name.
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
    """The subflows of one connection."""

    def __init__(self, endpoints: Sequence[PathEndpoint], limits: PathLimits) -> None:
        self._limits = limits
        self._backup = {one.host for one in endpoints if one.backup}

    def established(self, paths: Paths) -> Iterator[Command]:
        """Open all subflows, unless the peer accepts no joins to its address."""
        host, remote = paths.initial.local_host, paths.remotes[0]
        if not paths.initiator or paths.join_initial_denied:
            return
        for _ in range(self._left(paths)):
            yield OpenSubflow(
                local_host=host, local_id=0, remote=remote, backup=host in self._backup
            )

    def accepts_join(self, paths: Paths, local: Address, *, listening: bool) -> bool:
        """Return whether the port is open and the limit is not reached."""
        del local
        return listening and self._left(paths) > 0

    def _left(self, paths: Paths) -> int:
        return self._limits.subflows - max(0, len(paths.open_paths) - 1)
