"""The rules of the in-kernel path manager: net/mptcp/pm_kernel.c, ip-mptcp(8).

``signal`` endpoints are announced. From each ``subflow`` endpoint a subflow is opened to the peer's
initial address. After an ADD_ADDR a subflow is opened from each ``fullmesh`` endpoint; without
``fullmesh`` endpoints from the next ``laminar`` one; without both from the address that routing
chooses. The limits apply to all of these. Joins are accepted on open and on announced ports. An
IPv4 connection has only IPv4 subflows.
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
    """The unused endpoints of one connection, and its number of accepted addresses."""

    def __init__(self, endpoints: Sequence[PathEndpoint], limits: PathLimits) -> None:
        self._endpoints = list(endpoints)
        self._limits = limits
        self._announced = NO_IDS  # ids of announced endpoints
        # Announced addresses by id, for which no laminar endpoint was free.
        self._unserved: dict[int, RemoteAddress] | None = None
        self._accepted: list[int] = []  # ids of remote addresses in use

    def established(self, paths: Paths) -> Iterable[Command]:
        """Announce the ``signal`` endpoints, then open subflows from the ``subflow`` ones."""
        initial = paths.initial.local_host
        if any(one.backup and one.host == initial for one in self._endpoints):
            yield SetBackup(flow=paths.initial.flow, backup=True)
        others = [one for one in self._usable(paths) if one.host != initial or one.port is not None]
        yield from self._announce(others)
        yield from self._open(paths, others)

    def announced(self, paths: Paths, remote: RemoteAddress) -> Iterable[Command]:
        """Connect to an announced address, unless the limits forbid it."""
        known = remote.id in self._accepted  # the peer announces it again after a failed join
        full = len(self._accepted) >= self._limits.add_addr_accepted
        if full and not known and not self._replaces(paths):
            return
        if any(path.remote == remote.address for path in paths.open_paths):
            return
        sources = list(self._sources(paths, remote))[: self._left(paths)]
        if sources and not known:
            self._accepted.append(remote.id)
        elif not sources and any(one.laminar for one in self._endpoints):
            self._unserved = self._unserved or {}
            self._unserved[remote.id] = remote
        for host, number, backup in sources:
            yield OpenSubflow(local_host=host, local_id=number, remote=remote, backup=backup)

    def withdrawn(self, paths: Paths, remote: RemoteAddress) -> Iterable[Command]:
        """Free its place for another announced address."""
        if self._unserved:
            self._unserved.pop(remote.id, None)
        if remote.id in self._accepted:
            self._accepted.remove(remote.id)
        return ()

    def subflow_closed(self, paths: Paths, path: SubflowPath) -> Iterable[Command]:
        """Keep it closed: opening it again and again would not repair the path.

        Its laminar endpoint becomes free for an address that found none. In Linux an attempt
        without a route fails before the next ADD_ADDR is processed.
        """
        unserved, self._unserved = self._unserved or {}, None
        for remote in unserved.values():
            yield from self.announced(paths, remote)

    def address_added(self, paths: Paths, host: str) -> Iterable[Command]:
        """Announce the address or open a subflow from it, if it is an endpoint."""
        added = [one for one in self._endpoints if one.host == host]
        yield from self._announce(added)
        yield from self._open(paths, added)

    def endpoint_added(self, paths: Paths, endpoint: PathEndpoint) -> Iterable[Command]:
        """Announce the endpoint or open a subflow from it.

        The peer knows the address of the initial subflow. A subflow from it is opened only if none
        uses it, as after the removal of its endpoint.
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
        """Apply the new flags. With ``fullmesh``, other subflows replace the present ones."""
        self._endpoints[self._endpoints.index(old)] = new
        if old.fullmesh == new.fullmesh or not new.subflow or new not in self._usable(paths):
            return
        leaving = [one for one in paths.open_paths if one.local_id == new.id]
        for path in leaving:
            yield CloseSubflow(flow=path.flow)
        yield from self._open(paths, [new], leaving)

    def endpoint_removed(self, paths: Paths, endpoint: PathEndpoint) -> Iterable[Command]:
        """Withdraw its id if the peer can know it. The id of the initial address is 0."""
        self._endpoints.remove(endpoint)
        used = any(path.local_host == endpoint.host for path in paths.open_paths)
        if used or endpoint.id in self._announced:
            initial = endpoint.host == paths.initial.local_host and endpoint.port is None
            yield Withdraw(id=0 if initial else endpoint.id)
        self._announced -= {endpoint.id}

    def address_removed(self, paths: Paths, host: str) -> Iterable[Command]:
        """Withdraw its id, and id 0 if the initial subflow used the address."""
        if host == paths.initial.local_host:
            yield Withdraw(id=0)
        for one in self._endpoints:
            if one.host == host:
                yield Withdraw(id=one.id)

    def accepts_join(self, paths: Paths, local: Address, *, listening: bool) -> bool:
        """Return whether the port is open or announced, and the limit is not reached."""
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
        """Open the missing subflows of the endpoints.

        :param leaving: subflows that are about to end.
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
        """Yield the remote addresses for an endpoint; for a ``fullmesh`` one all of them."""
        for remote in paths.remotes if endpoint.fullmesh else paths.remotes[:1]:
            denied = remote.id == 0 and paths.join_initial_denied
            if not denied and self._go_together(paths, endpoint.host, remote.address.host):
                yield remote

    def _sources(self, paths: Paths, remote: RemoteAddress) -> Iterator[tuple[str, int, bool]]:
        """Yield the sources of subflows to an announced address: host, id, backup."""
        host = remote.address.host
        usable = self._usable(paths)
        fitting = [one for one in usable if self._go_together(paths, one.host, host)]
        if any(one.fullmesh for one in usable):
            chosen = [one for one in fitting if one.fullmesh]
        elif any(one.laminar for one in usable):
            # Including that of the initial subflow.
            used = {path.local_host for path in paths.open_paths}
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
        """Return whether an announced address replaces the initial one, which accepts no joins.

        This is the kernel's rule since 6.18 for a limit of 0 accepted ADD_ADDRs.
        """
        if not paths.join_initial_denied or self._limits.add_addr_accepted:
            return False
        return not any(self._is_used(paths, one) for one in self._endpoints if one.subflow)

    def _is_used(self, paths: Paths, endpoint: PathEndpoint) -> bool:
        return any(path.local_id == endpoint.id for path in paths.open_paths)

    def _go_together(self, paths: Paths, host: str, remote_host: str) -> bool:
        """Return whether a subflow may connect two addresses: IPv4 only with IPv4."""
        if ":" in host and ":" not in paths.initial.local_host:
            return False
        return same_family(host, remote_host)

    def _left(self, paths: Paths) -> int:
        return self._limits.subflows - max(0, len(paths.open_paths) - 1)
