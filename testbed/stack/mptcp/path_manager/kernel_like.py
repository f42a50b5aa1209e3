"""The in-kernel path manager's rules: net/mptcp/pm_kernel.c, ip-mptcp(8).

Endpoints flagged ``signal`` are announced; from those flagged ``subflow`` a subflow is opened to
the peer's initial address.  An announced address is connected to from the ``fullmesh`` endpoints;
if there are none, from the next ``laminar`` one; if there are none of those either, from the
address that routing chooses.  Limits bound all of it.  Joins are taken on ports that are open, or
that were announced, and a connection of IPv4 has subflows of IPv4 alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from testbed.packet.address import Address
from testbed.stack.mptcp.path_manager.base import (
    NO_IDS,
    Announce,
    CloseSubflow,
    Command,
    OpenSubflow,
    PathEndpoint,
    PathLimits,
    Paths,
    RemoteAddress,
    SetBackup,
    SubflowPath,
    Withdraw,
    same_family,
)


class KernelLike:
    """One connection's endpoints that are still to be used, and its count of accepted addresses."""

    def __init__(self, endpoints: Sequence[PathEndpoint], limits: PathLimits) -> None:
        self._endpoints = list(endpoints)
        self._limits = limits
        self._announced = NO_IDS  # ids of endpoints
        # By id: announced, but no laminar endpoint was free.
        self._unserved: dict[int, RemoteAddress] = {}
        self._accepted: list[int] = []  # ids of remote addresses that were taken up

    def established(self, paths: Paths) -> Iterable[Command]:
        """Announce the ``signal`` endpoints, then open the ``subflow`` ones."""
        initial = paths.initial.local_host
        if any(one.backup and one.host == initial for one in self._endpoints):
            yield SetBackup(flow=paths.initial.flow, backup=True)
        others = [one for one in self._usable(paths) if one.host != initial or one.port is not None]
        yield from self._announce(others)
        yield from self._open(paths, others)

    def announced(self, paths: Paths, remote: RemoteAddress) -> Iterable[Command]:
        """Connect to an announced address, unless the limits forbid it."""
        known = remote.id in self._accepted  # announced again, after a join has failed
        full = len(self._accepted) >= self._limits.add_addr_accepted
        if full and not known and not self._replaces(paths):
            return
        if any(path.remote == remote.address for path in paths.open_paths):
            return
        sources = list(self._sources(paths, remote))[: self._left(paths)]
        if sources and not known:
            self._accepted.append(remote.id)
        elif not sources and any(one.laminar for one in self._endpoints):
            self._unserved[remote.id] = remote
        for host, number, backup in sources:
            yield OpenSubflow(local_host=host, local_id=number, remote=remote, backup=backup)

    def withdrawn(self, paths: Paths, remote: RemoteAddress) -> Iterable[Command]:
        """Let another announced address take its place."""
        self._unserved.pop(remote.id, None)
        if remote.id in self._accepted:
            self._accepted.remove(remote.id)
        return ()

    def subflow_closed(self, paths: Paths, path: SubflowPath) -> Iterable[Command]:
        """Leave it closed: opening it again and again would not mend the path.

        Its laminar endpoint is free for an address that found none.  In Linux an attempt without a
        route has failed before an ADD_ADDR is looked at.
        """
        unserved, self._unserved = self._unserved, {}
        for remote in unserved.values():
            yield from self.announced(paths, remote)

    def address_added(self, paths: Paths, host: str) -> Iterable[Command]:
        """Announce it or open a subflow from it, if it is an endpoint."""
        added = [one for one in self._endpoints if one.host == host]
        yield from self._announce(added)
        yield from self._open(paths, added)

    def endpoint_added(self, paths: Paths, endpoint: PathEndpoint) -> Iterable[Command]:
        """Announce it or open a subflow from it.

        The initial subflow's address is known to the peer.  Only where no subflow uses it any
        more, as after its endpoint was removed, is one opened from it again.
        """
        self._endpoints.append(endpoint)
        if endpoint.host not in paths.local_hosts:
            return
        if endpoint.host != paths.initial.local_host or endpoint.port is not None:
            yield from self._announce([endpoint])
        elif any(path.local_host == endpoint.host for path in paths.open_paths):
            return
        yield from self._open(paths, [endpoint])

    def endpoint_changed(
        self, paths: Paths, old: PathEndpoint, new: PathEndpoint
    ) -> Iterable[Command]:
        """Go by what it is now: subflows of another mesh take the place of those there are."""
        self._endpoints[self._endpoints.index(old)] = new
        if old.fullmesh == new.fullmesh or not new.subflow or new not in self._usable(paths):
            return
        leaving = [one for one in paths.open_paths if one.local_id == new.id]
        for path in leaving:
            yield CloseSubflow(flow=path.flow)
        yield from self._open(paths, [new], leaving)

    def endpoint_removed(self, paths: Paths, endpoint: PathEndpoint) -> Iterable[Command]:
        """Withdraw its id, 0 of the initial subflow's address, if the peer can know it."""
        self._endpoints.remove(endpoint)
        used = any(path.local_host == endpoint.host for path in paths.open_paths)
        if used or endpoint.id in self._announced:
            initial = endpoint.host == paths.initial.local_host and endpoint.port is None
            yield Withdraw(id=0 if initial else endpoint.id)
        self._announced -= {endpoint.id}

    def address_removed(self, paths: Paths, host: str) -> Iterable[Command]:
        """Withdraw its id, and that of the initial subflow if that used it."""
        if host == paths.initial.local_host:
            yield Withdraw(id=0)
        for one in self._endpoints:
            if one.host == host:
                yield Withdraw(id=one.id)

    def accepts_join(self, paths: Paths, local: Address, *, listening: bool) -> bool:
        """Tell whether the port is open or was announced, and the limit leaves room."""
        announced = any(
            one.signal and one.port == local.port and one.host == local.host
            for one in self._endpoints
        )
        return (listening or announced) and self._left(paths) > 0

    def _usable(self, paths: Paths) -> list[PathEndpoint]:
        return [one for one in self._endpoints if one.host in paths.local_hosts]

    def _announce(self, endpoints: Sequence[PathEndpoint]) -> Iterator[Command]:
        for one in endpoints:
            if one.signal:
                self._announced |= {one.id}
                yield Announce(id=one.id, host=one.host, port=one.port)

    def _open(
        self,
        paths: Paths,
        endpoints: Sequence[PathEndpoint],
        leaving: Sequence[SubflowPath] = (),
    ) -> Iterator[Command]:
        """Open what endpoints ask for and is not there.

        :param leaving: subflows that will not be there any more.
        """
        left = self._left(paths) + len(leaving)
        there = {(one.local_host, one.remote) for one in paths.open_paths if one not in leaving}
        for one in endpoints:
            for remote in self._targets(paths, one) if one.subflow else ():
                if left <= 0:
                    return
                if (one.host, remote.address) in there:
                    continue
                left -= 1
                number = 0 if one.host == paths.initial.local_host else one.id
                yield OpenSubflow(
                    local_host=one.host, local_id=number, remote=remote, backup=one.backup
                )

    def _targets(self, paths: Paths, endpoint: PathEndpoint) -> Iterator[RemoteAddress]:
        """Yield where a subflow from an endpoint goes: ``fullmesh`` ones to every address."""
        for remote in paths.remotes if endpoint.fullmesh else paths.remotes[:1]:
            denied = remote.id == 0 and paths.join_initial_denied
            if not denied and self._go_together(paths, endpoint.host, remote.address.host):
                yield remote

    def _sources(self, paths: Paths, remote: RemoteAddress) -> Iterator[tuple[str, int, bool]]:
        """Yield where subflows to an announced address come from: host, id, backup."""
        host = remote.address.host
        usable = self._usable(paths)
        fitting = [one for one in usable if self._go_together(paths, one.host, host)]
        if any(one.fullmesh for one in usable):
            chosen = [one for one in fitting if one.fullmesh]
        elif any(one.laminar for one in usable):
            used = {path.local_host for path in paths.open_paths}  # the initial one too
            chosen = [one for one in fitting if one.laminar and one.host not in used][:1]
        elif self._replaces(paths):
            initial = paths.initial.local_host
            chosen = [one for one in fitting if one.subflow and one.host != initial]
        else:
            yield from self._routed(paths, host)
            return
        for one in chosen:
            number = 0 if one.host == paths.initial.local_host else one.id
            yield one.host, number, one.backup

    def _routed(self, paths: Paths, remote_host: str) -> Iterator[tuple[str, int, bool]]:
        source = paths.source_for(remote_host)
        if source is None or not self._go_together(paths, source, remote_host):
            return
        number = paths.local_id(source)
        known = next((one for one in self._endpoints if one.host == source), None)
        if number is not None:
            yield source, number, bool(number and known and known.backup)

    def _replaces(self, paths: Paths) -> bool:
        """Tell whether an announced address stands for the initial one, which takes no joins.

        That is the kernel's rule, from 6.18 on, where no ADD_ADDR is accepted otherwise.
        """
        if not paths.join_initial_denied or self._limits.add_addr_accepted:
            return False
        return not any(self._is_used(paths, one) for one in self._endpoints if one.subflow)

    def _is_used(self, paths: Paths, endpoint: PathEndpoint) -> bool:
        return any(path.local_id == endpoint.id for path in paths.open_paths)

    def _go_together(self, paths: Paths, host: str, remote_host: str) -> bool:
        """Tell whether a subflow may join two addresses: those of IPv4 stay among themselves."""
        if ":" in host and ":" not in paths.initial.local_host:
            return False
        return same_family(host, remote_host)

    def _left(self, paths: Paths) -> int:
        return self._limits.subflows - max(0, len(paths.open_paths) - 1)
