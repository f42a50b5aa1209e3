"""The in-kernel path manager's rules (``net/mptcp/pm_kernel.c``, ip-mptcp(8)).

Endpoints flagged ``signal`` are announced; from those flagged ``subflow`` a subflow is opened to
the peer's initial address; an announced address is connected to from the ``fullmesh`` endpoints or,
if there are none, from whatever address routing chooses.  Limits bound both.
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


class KernelLike:
    """One connection's endpoints that are still to be used, and its count of accepted addresses."""

    def __init__(self, endpoints: Sequence[PathEndpoint], limits: PathLimits) -> None:
        self._endpoints = endpoints
        self._limits = limits
        self._accepted: set[int] = set()  # ids of remote addresses that were taken up

    def established(self, paths: Paths) -> Iterable[Command]:
        """Announce the ``signal`` endpoints, then open the ``subflow`` ones."""
        others = [one for one in self._usable(paths) if one.host != paths.initial.local_host]
        yield from self._announce(others)
        yield from self._open(paths, others)

    def announced(self, paths: Paths, remote: RemoteAddress) -> Iterable[Command]:
        """Connect to an announced address, unless the limits forbid it."""
        if len(self._accepted) >= self._limits.add_addr_accepted:
            return
        if any(path.remote == remote.address for path in paths.open_paths):
            return
        sources = list(self._sources(paths, remote))[: self._left(paths)]
        if sources:
            self._accepted.add(remote.id)
        for host, number, backup in sources:
            yield OpenSubflow(local_host=host, local_id=number, remote=remote, backup=backup)

    def withdrawn(self, paths: Paths, remote: RemoteAddress) -> Iterable[Command]:
        """Let another announced address take its place."""
        self._accepted.discard(remote.id)
        return ()

    def subflow_closed(self, paths: Paths, path: SubflowPath) -> Iterable[Command]:
        """Leave it closed: opening it again and again would not mend the path."""
        return ()

    def address_added(self, paths: Paths, host: str) -> Iterable[Command]:
        """Announce it or open a subflow from it, if it is an endpoint."""
        added = [one for one in self._endpoints if one.host == host]
        yield from self._announce(added)
        yield from self._open(paths, added)

    def address_removed(self, paths: Paths, host: str) -> Iterable[Command]:
        """Withdraw its id, and that of the initial subflow if that used it."""
        if host == paths.initial.local_host:
            yield Withdraw(id=0)
        for one in self._endpoints:
            if one.host == host:
                yield Withdraw(id=one.id)

    def accepts_join(self, paths: Paths) -> bool:
        """Tell whether the limit of subflows leaves room."""
        return self._left(paths) > 0

    def _usable(self, paths: Paths) -> list[PathEndpoint]:
        return [one for one in self._endpoints if one.host in paths.local_hosts]

    def _announce(self, endpoints: Sequence[PathEndpoint]) -> Iterator[Command]:
        for one in endpoints:
            if one.signal:
                yield Announce(id=one.id, host=one.host, port=one.port)

    def _open(self, paths: Paths, endpoints: Sequence[PathEndpoint]) -> Iterator[Command]:
        left = self._left(paths)
        for one in endpoints:
            for remote in self._targets(paths, one) if one.subflow else ():
                if left <= 0:
                    return
                left -= 1
                yield OpenSubflow(
                    local_host=one.host, local_id=one.id, remote=remote, backup=one.backup
                )

    def _targets(self, paths: Paths, endpoint: PathEndpoint) -> Iterator[RemoteAddress]:
        """Yield where a subflow from an endpoint goes: ``fullmesh`` ones to every address."""
        for remote in paths.remotes if endpoint.fullmesh else paths.remotes[:1]:
            denied = remote.id == 0 and paths.join_initial_denied
            if not denied and same_family(endpoint.host, remote.address.host):
                yield remote

    def _sources(self, paths: Paths, remote: RemoteAddress) -> Iterator[tuple[str, int, bool]]:
        """Yield where subflows to an announced address come from: host, id, backup."""
        host = remote.address.host
        mesh = [one for one in self._usable(paths) if one.fullmesh and same_family(one.host, host)]
        for one in mesh:
            number = 0 if one.host == paths.initial.local_host else one.id
            yield one.host, number, one.backup
        source = None if mesh else paths.source_for(host)
        if source is None:
            return
        if source == paths.initial.local_host:
            yield source, 0, False
            return
        known = next((one for one in self._endpoints if one.host == source), None)
        yield source, known.id if known else self._implicit_id(), bool(known and known.backup)

    def _implicit_id(self) -> int:
        """Return an id for an address that is no endpoint (IMPLICIT in the kernel)."""
        used = {one.id for one in self._endpoints}
        return next(number for number in range(1, 256) if number not in used)

    def _left(self, paths: Paths) -> int:
        return self._limits.subflows - max(0, len(paths.open_paths) - 1)
