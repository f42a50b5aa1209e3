"""Every address of ours to every address of the peer, opened by the connection's initiator.

It needs no configuration: all addresses of the host are used, those of endpoints with their id and
backup flag.  A subflow that died is not opened again until an address comes or goes.

Unlike the kernel's it takes joins on every port, not only on those that are open, and IPv4 and IPv6
subflows in any connection.
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
    """One connection's."""

    def __init__(self, endpoints: Sequence[PathEndpoint], limits: PathLimits) -> None:
        self._limits = limits
        self._backup = {one.host for one in endpoints if one.backup}
        self._withdrawn: set[str] = set()  # addresses whose endpoint was removed

    def established(self, paths: Paths) -> Iterable[Command]:
        """Announce all further addresses, and open what there is to open."""
        for host in paths.local_hosts:
            yield from self._announce(paths, host)
        yield from self._mesh(paths, paths.local_hosts, paths.remotes)

    def announced(self, paths: Paths, remote: RemoteAddress) -> Iterable[Command]:
        """Connect to it from everywhere."""
        return self._mesh(paths, paths.local_hosts, (remote,))

    def withdrawn(self, paths: Paths, remote: RemoteAddress) -> Iterable[Command]:
        """Nothing is left to do."""
        return ()

    def subflow_closed(self, paths: Paths, path: SubflowPath) -> Iterable[Command]:
        """Leave it closed."""
        return ()

    def address_added(self, paths: Paths, host: str) -> Iterable[Command]:
        """Announce it, and connect from it to everywhere."""
        yield from self._announce(paths, host)
        yield from self._mesh(paths, (host,), paths.remotes)

    def address_removed(self, paths: Paths, host: str) -> Iterable[Command]:
        """Withdraw it."""
        number = paths.local_id(host)
        if number is not None:
            yield Withdraw(id=number)

    def endpoint_added(self, paths: Paths, endpoint: PathEndpoint) -> Iterable[Command]:
        """Take its address into the mesh again, if it left with its endpoint.

        Whether its subflows are backups goes for those that are opened from now on.
        """
        if endpoint.backup:
            self._backup.add(endpoint.host)
        if endpoint.host in self._withdrawn and endpoint.host in paths.local_hosts:
            self._withdrawn.discard(endpoint.host)
            yield from self.address_added(paths, endpoint.host)

    def endpoint_changed(
        self, paths: Paths, old: PathEndpoint, new: PathEndpoint
    ) -> Iterable[Command]:
        """Note whether its subflows are to be backups; all of them are in the mesh anyway."""
        self._backup.discard(old.host)
        if new.backup:
            self._backup.add(new.host)
        return ()

    def endpoint_removed(self, paths: Paths, endpoint: PathEndpoint) -> Iterable[Command]:
        """Withdraw it, as an address that is gone."""
        self._backup.discard(endpoint.host)
        self._withdrawn.add(endpoint.host)
        return self.address_removed(paths, endpoint.host)

    def accepts_join(self, paths: Paths, local: Address, *, listening: bool) -> bool:
        """Tell whether the limit of subflows leaves room."""
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
        if number:  # the first subflow's address is known
            yield Announce(id=number, host=host)
