"""The neighbours and sysctls of a node's namespace."""

from __future__ import annotations

import functools
import re
import zlib
from typing import Final

from testbed.document import Document, join_path
from testbed.errors import all_of
from testbed.topology.addresses import Addressing
from testbed.topology.model import Family, Neighbour
from testbed.topology.skeleton import Skeleton
from testbed.topology.spec import TopologySpec

_FIELDS: Final = str(0x37)  # source and destination address, protocol, source and destination port
_KEY: Final = re.compile(r"net(\.[A-Za-z0-9_/-]+)+")


def neighbours(skeleton: Skeleton, addressing: Addressing, node: str) -> tuple[Neighbour, ...]:
    """Return permanent neighbour entries for the other end of every segment with two ends.

    A tunnel needs none.
    """
    return tuple(
        Neighbour(interface=end.name, address=address.host, mac=other.mac)
        for end in skeleton.ends[node]
        if len(skeleton.segment_of[end].ends) == 2 and end.tunnel is None
        for other in skeleton.segment_of[end].ends
        if other is not end
        for address in addressing.of[other]
    )


def sysctls(skeleton: Skeleton, addressing: Addressing, node: str) -> tuple[tuple[str, str], ...]:
    """Return the sysctls of a node: first those that the topology needs, then those of the file.

    A new namespace copies the IPv4 settings of the host's first one
    (``net.core.devconf_inherit_init_net``), so forwarding is always written, and filtering by
    source if there are several paths. IPv6 starts with the kernel's defaults.
    """
    router = skeleton.nodes[node].kind.forwards
    values = {
        # First: writing it resets other settings (Documentation/networking/ip-sysctl.rst).
        "net.ipv4.ip_forward": str(int(router)),
    }
    if len(skeleton.ends[node]) > 1:
        # The larger of the two values counts (ip-sysctl.rst), so both are written.
        values["net.ipv4.conf.all.rp_filter"] = "0"
        values["net.ipv4.conf.default.rp_filter"] = "0"
    segments = [skeleton.segment_of[end] for end in skeleton.ends[node]]
    if len(set(segments)) < len(segments):
        # Two interfaces on one segment: each uses ARP for its own addresses only.
        values["net.ipv4.conf.all.arp_ignore"] = "1"
        values["net.ipv4.conf.all.arp_announce"] = "2"
    values |= _ipv6(skeleton, addressing, node)
    if router and skeleton.spec.multipath:
        values |= _hashing(node, ipv6=_has_ipv6(skeleton, addressing, node))
    wanted = skeleton.spec.sysctls | skeleton.nodes[node].sysctls
    values |= {key: str(value) for key, value in wanted.items()}
    return tuple(values.items())


def check_sysctls(document: Document[TopologySpec], spec: TopologySpec) -> None:
    """Check the sysctls that the file sets.  Raises InputError."""
    places = {"sysctls": spec.sysctls}
    for name, node in spec.nodes.items():
        if node is not None and node.sysctls:
            places[join_path("nodes", name, "sysctls")] = node.sysctls
    all_of(
        *(
            functools.partial(_check, document, f"{path}.{join_path(key)}", key, str(value))
            for path, wanted in places.items()
            for key, value in wanted.items()
        )
    )


def _hashing(node: str, *, ipv6: bool) -> dict[str, str]:
    """Make a router choose one of several paths by addresses, protocol and ports (ip-sysctl.rst).

    Routers with equal hashes would all choose the same path for a connection, and leave most paths
    unused. So each has its own seed (Linux 6.11), and policy 3: with policy 1 it would use the hash
    that the packet has from the sending host.
    """
    values = {"net.ipv4.fib_multipath_hash_seed": str(zlib.crc32(node.encode()) or 1)}
    for family in ("ipv4", "ipv6") if ipv6 else ("ipv4",):
        values[f"net.{family}.fib_multipath_hash_policy"] = "3"
        values[f"net.{family}.fib_multipath_hash_fields"] = _FIELDS
    return values


def _has_ipv6(skeleton: Skeleton, addressing: Addressing, node: str) -> bool:
    own = (address for end in skeleton.ends[node] for address in addressing.of[end])
    return any(address.family is Family.IPV6 for address in own)


def _ipv6(skeleton: Skeleton, addressing: Addressing, node: str) -> dict[str, str]:
    """Keep IPv6 quiet: allow only the topology's addresses, unless a node needs others."""
    if not _has_ipv6(skeleton, addressing, node):
        return {"net.ipv6.conf.default.disable_ipv6": "1"}
    forwards = skeleton.nodes[node].kind.forwards
    values = {"net.ipv6.conf.all.forwarding": "1"} if forwards else {}
    if _asks_for_others(skeleton, node):
        return values | {"net.ipv6.conf.default.accept_dad": "0"}
    return values | {"net.ipv6.conf.default.addr_gen_mode": "1"}


def _asks_for_others(skeleton: Skeleton, node: str) -> bool:
    """Return whether a node sends packets with the source address of another interface.

    To find their neighbour, IPv6 needs a link-local address on the outgoing interface:
    ndisc_send_ns() of net/ipv6/ndisc.c. Permanent neighbours need no solicitation.
    """
    spec, ends = skeleton.nodes[node], skeleton.ends[node]
    if all(len(skeleton.segment_of[end].ends) == 2 for end in ends):
        return False
    bound = spec.policy_routing and not spec.routes  # rules keep packets at their interfaces
    return spec.kind.forwards or (len(ends) > 1 and not bound)


def _check(document: Document[TopologySpec], path: str, key: str, value: str) -> None:
    if not _KEY.fullmatch(key):
        hint = None if key.startswith("net.") else "a network namespace has only sysctls net.*"
        raise document.error(f"{key!r} is not a sysctl of a node", path, hint)
    if not value.isprintable():
        raise document.error("the value must be one line of text", path)
