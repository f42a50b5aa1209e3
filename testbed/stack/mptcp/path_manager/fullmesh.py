"""Every address of ours to every address of the peer, opened by the connection's initiator.

It needs no configuration: all addresses of the host are used, those of endpoints with their id and
backup flag.  A subflow that died is not opened again until an address comes or goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

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
    """One connection's ids of local addresses."""

    def __init__(self, endpoints: Sequence[PathEndpoint], limits: PathLimits) -> None:
        self._limits = limits
        self._ids = {one.host: one.id for one in endpoints}
        self._backup = {one.host for one in endpoints if one.backup}

    def established(self, paths: Paths) -> Iterable[Command]:
        """Announce all further addresses, and open what there is to open."""
        for host in paths.local_hosts:
            if host != paths.initial.local_host:
                yield Announce(id=self._id(paths, host), host=host)
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
        if host != paths.initial.local_host:
            yield Announce(id=self._id(paths, host), host=host)
        yield from self._mesh(paths, (host,), paths.remotes)

    def address_removed(self, paths: Paths, host: str) -> Iterable[Command]:
        """Withdraw it."""
        yield Withdraw(id=self._id(paths, host))

    def accepts_join(self, paths: Paths) -> bool:
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
                new = (host, remote.address) not in there
                if new and same_family(host, remote.address.host) and left > 0:
                    left -= 1
                    yield OpenSubflow(
                        local_host=host,
                        local_id=self._id(paths, host),
                        remote=remote,
                        backup=host in self._backup,
                    )

    def _id(self, paths: Paths, host: str) -> int:
        if host == paths.initial.local_host:
            return 0
        if host not in self._ids:
            used = set(self._ids.values())
            self._ids[host] = next(number for number in range(1, 256) if number not in used)
        return self._ids[host]
