"""The initiator opens a subflow between each local and each remote address.

It needs no configuration: it uses all addresses of the host. An address of an endpoint has the
endpoint's id and backup flag. A lost subflow is not opened again until an address is added or
removed.

Unlike the kernel's path manager it accepts joins on each port, open or not, and mixes IPv4 and IPv6
subflows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from testbed.packet.address import Address
from testbed.stack.mptcp.path_manager.base import (
    Announce,
    Command,
    OpenSubflow,
    PathEndpoint,
    PathLimits,
    Paths,
    RemoteAddress,
    SubflowPath,
    Withdraw,
    same_family,
)


class FullMesh:
    """The full mesh of one connection."""

    def __init__(self, endpoints: Sequence[PathEndpoint], limits: PathLimits) -> None:
        self._limits = limits
        self._backup = {one.host for one in endpoints if one.backup}
        self._withdrawn: set[str] = set()  # addresses whose endpoint was removed

    def established(self, paths: Paths) -> Iterable[Command]:
        """Announce all additional addresses, and open the missing subflows."""
        for host in paths.local_hosts:
            yield from self._announce(paths, host)
        yield from self._mesh(paths, paths.local_hosts, paths.remotes)

    def announced(self, paths: Paths, remote: RemoteAddress) -> Iterable[Command]:
        """Connect to the address from all local addresses."""
        return self._mesh(paths, paths.local_hosts, (remote,))

    def withdrawn(self, paths: Paths, remote: RemoteAddress) -> Iterable[Command]:
        """Do nothing: the subflows are closed already."""
        return ()

    def subflow_closed(self, paths: Paths, path: SubflowPath) -> Iterable[Command]:
        """Do nothing: the subflow stays closed."""
        return ()

    def address_added(self, paths: Paths, host: str) -> Iterable[Command]:
        """Announce the address, and connect from it to all remote addresses."""
        yield from self._announce(paths, host)
        yield from self._mesh(paths, (host,), paths.remotes)

    def address_removed(self, paths: Paths, host: str) -> Iterable[Command]:
        """Withdraw the address."""
        number = paths.local_id(host)
        if number is not None:
            yield Withdraw(id=number)

    def endpoint_added(self, paths: Paths, endpoint: PathEndpoint) -> Iterable[Command]:
        """Add its address to the mesh again, if it was removed with its endpoint.

        The backup flag applies to subflows that are opened later.
        """
        if endpoint.backup:
            self._backup.add(endpoint.host)
        if endpoint.host in self._withdrawn and endpoint.host in paths.local_hosts:
            self._withdrawn.discard(endpoint.host)
            yield from self.address_added(paths, endpoint.host)

    def endpoint_changed(
        self, paths: Paths, old: PathEndpoint, new: PathEndpoint
    ) -> Iterable[Command]:
        """Record the backup flag. The flag ``fullmesh`` has no effect here."""
        self._backup.discard(old.host)
        if new.backup:
            self._backup.add(new.host)
        return ()

    def endpoint_removed(self, paths: Paths, endpoint: PathEndpoint) -> Iterable[Command]:
        """Withdraw its address, as if the host had lost it."""
        self._backup.discard(endpoint.host)
        self._withdrawn.add(endpoint.host)
        return self.address_removed(paths, endpoint.host)

    def accepts_join(self, paths: Paths, local: Address, *, listening: bool) -> bool:
        """Return whether the limit of subflows is not reached."""
        return len(paths.open_paths) <= self._limits.subflows

    def _mesh(
        self, paths: Paths, hosts: Sequence[str], remotes: Sequence[RemoteAddress]
    ) -> Iterator[Command]:
        if not paths.initiator:
            return
        left = self._limits.subflows - max(0, len(paths.open_paths) - 1)
        there = {(path.local_host, path.remote) for path in paths.open_paths}
        for remote in remotes:
            if remote.id == 0 and paths.join_initial_denied:
                continue
            for host in hosts:
                number = paths.local_id(host)
                if number is None or (host, remote.address) in there:
                    continue
                if same_family(host, remote.address.host) and left > 0:
                    left -= 1
                    there.add((host, remote.address))
                    backup = host in self._backup
                    yield OpenSubflow(
                        local_host=host, local_id=number, remote=remote, backup=backup
                    )

    def _announce(self, paths: Paths, host: str) -> Iterator[Command]:
        number = paths.local_id(host)
        if number:  # subflow 0 uses an address that is already known
            yield Announce(id=number, host=host)
