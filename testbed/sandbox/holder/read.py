"""The observation of a namespace's state in the kernel."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any, Final

from testbed import mib
from testbed.netlink.codec import NETLINK_GENERIC, NETLINK_SOCK_DIAG
from testbed.netlink.transport import Netlink
from testbed.sandbox import undo, verify
from testbed.sandbox.holder.namespace import Namespace
from testbed.sandbox.netlink import addresses, links, listeners, mptcp, qdiscs, wireguard
from testbed.sandbox.observation import NamespaceState, Peered

# The settings that affect TCP, MPTCP and source routing; part of the whole state only.
SYSCTLS: Final = (
    "net.ipv4.conf.all.rp_filter",
    "net.ipv4.ip_forward",
    "net.ipv6.conf.all.forwarding",
    "net.ipv4.tcp_congestion_control",
    "net.ipv4.tcp_ecn",
    "net.ipv4.tcp_no_metrics_save",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_sack",
    "net.ipv4.tcp_slow_start_after_idle",
    "net.ipv4.tcp_timestamps",
    "net.ipv4.tcp_wmem",
    "net.core.rmem_max",
    "net.core.wmem_max",
    "net.mptcp.enabled",
    "net.mptcp.checksum_enabled",
    "net.mptcp.allow_join_initial_addr_port",
    "net.mptcp.pm_type",
    "net.mptcp.scheduler",
    "net.mptcp.add_addr_timeout",
    "net.mptcp.stale_loss_cnt",
)
_NOT_READ: Final = ("name", "sysctls", "own_counters")  # read separately, or reported by programs


def everything(namespace: Namespace, path_manager: int | None) -> NamespaceState:
    """Read the whole state of a namespace."""
    namespace.refresh()
    filters = [f"net.ipv4.conf.{name}.rp_filter" for name in namespace.indices if "." not in name]
    parts = [part for part in NamespaceState.__struct_fields__ if part not in _NOT_READ]
    return _read(namespace, parts, (*SYSCTLS, *filters), path_manager)


def configuration(namespace: Namespace, path_manager: int | None) -> NamespaceState:
    """Read the parts of the state that changes of a network can concern."""
    namespace.refresh()
    return _read(namespace, undo.PARTS, (), path_manager)


def facts(
    namespace: Namespace, wanted: Iterable[verify.Key], path_manager: int | None
) -> verify.Facts:
    """Read the parts of the state that contain the wanted facts."""
    keys = list(wanted)
    sysctls = [str(key[1]) for key in keys if key[0] == "sysctls"]
    parts = {str(key[0]) for key in keys} - {"sysctls"}
    return verify.facts(_read(namespace, parts, sysctls, path_manager, ours=True))


def _read(
    namespace: Namespace,
    parts: Iterable[str],
    sysctls: Collection[str],
    path_manager: int | None,
    *,
    ours: bool = False,
) -> NamespaceState:
    """Read parts of the state; with ``ours``, without values that no operation causes."""
    names = {index: name for name, index in namespace.indices.items()}
    route = namespace.socket
    diagnosis = functools.partial(namespace.socket, NETLINK_SOCK_DIAG)
    generic = functools.partial(namespace.socket, NETLINK_GENERIC)
    readers: dict[str, Callable[[], object]] = {
        "links": lambda: links.read_links(route(), counters=not ours),
        "addresses": lambda: addresses.read_addresses(route(), names),
        "routes": lambda: addresses.read_routes(route(), names, ours=ours),
        "rules": lambda: addresses.read_rules(route()),
        "neighbours": lambda: addresses.read_neighbours(route(), names),
        "wireguard": lambda: _read_wireguard(route(), generic()),
        "qdiscs": lambda: qdiscs.read_qdiscs(route(), names),
        "listeners": lambda: listeners.read_listeners(diagnosis()),
        "counters": lambda: _read_counters(namespace),
    }
    if path_manager is not None:
        readers["limits"] = lambda: mptcp.read_limits(generic(), path_manager)
        readers["endpoints"] = lambda: mptcp.read_endpoints(generic(), path_manager, names)
    found: dict[str, Any] = {part: readers[part]() for part in parts if part in readers}
    return NamespaceState(name=namespace.name, sysctls=_read_sysctls(namespace, sysctls), **found)


def _read_wireguard(route: Netlink, generic: Netlink) -> dict[str, Peered]:
    """Return the configuration of each WireGuard interface, except those without a peer."""
    there = {
        link.name: link.index
        for link in links.read_links(route, counters=False)
        if link.kind == "wireguard"
    }
    family = wireguard.number(generic) if there else None
    if family is None:
        return {}
    found = {name: wireguard.read_device(generic, family, it) for name, it in there.items()}
    return {name: peered for name, peered in found.items() if peered is not None}


def _read_sysctls(namespace: Namespace, keys: Collection[str]) -> dict[str, str]:
    """Return key -> value with white space folded, except keys that this kernel lacks."""
    found = {}
    if keys:
        with namespace.entered():
            for key in keys:
                with contextlib.suppress(FileNotFoundError):
                    found[key] = _read_sysctl(namespace, key)
    return found


def _read_sysctl(namespace: Namespace, key: str) -> str:
    with os.fdopen(namespace.open_sysctl(key, os.O_RDONLY)) as file:
        return " ".join(file.read().split())


def _read_counters(namespace: Namespace) -> dict[str, int]:
    """Return the MIB, except files that this kernel lacks (no IPv6)."""
    found: dict[str, int] = {}
    with namespace.entered():
        for name in mib.FILES:
            with contextlib.suppress(FileNotFoundError):
                found |= mib.parse(Path("/proc/thread-self/net", name).read_text())
    return found
