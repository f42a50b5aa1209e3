"""A path manager that is content with two subflows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from testbed.packet.address import Address
from testbed.stack.mptcp.path_manager.base import (
    Announce,
    Command,
    OpenSubflow,
    Passive,
    PathEndpoint,
    PathLimits,
    Paths,
    RemoteAddress,
)


class OneMore(Passive):
    """The server announces its addresses; the client opens one subflow to the first of them."""

    def __init__(self, endpoints: Sequence[PathEndpoint], limits: PathLimits) -> None:
        del endpoints, limits  # what `ip mptcp` says of the node

    def established(self, paths: Paths) -> Iterator[Command]:
        """Announce the server's other addresses."""
        for host in paths.local_hosts:
            number = paths.local_id(host)
            if not paths.initiator and number:  # 0 is the address of the first subflow
                yield Announce(id=number, host=host)

    def announced(self, paths: Paths, remote: RemoteAddress) -> Iterator[Command]:
        """Connect to an address, once."""
        host = paths.source_for(remote.address.host)
        number = None if host is None else paths.local_id(host)
        if paths.initiator and len(paths.open_paths) == 1 and host and number is not None:
            yield OpenSubflow(local_host=host, local_id=number, remote=remote)

    def accepts_join(self, paths: Paths, local: Address, *, listening: bool) -> bool:
        """Tell whether the peer may open one more subflow."""
        return len(paths.open_paths) < 2
