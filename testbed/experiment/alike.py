"""The same congestion control for kernel and userspace stacks, unless an experiment chooses one.

The kernel's sockets take the congestion control of their namespace, which a new namespace inherits
from the host: CUBIC on one machine, BBR on another. Results with different congestion controls are
not comparable, so every node gets one that both the kernel and our stacks implement.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from testbed.stack.tcp.congestion import CONTROLS
from testbed.topology.model import Node, Topology

SYSCTL: Final = "net.ipv4.tcp_congestion_control"
_ALLOWED: Final = Path("/proc/sys/net/ipv4/tcp_allowed_congestion_control")
_PREFERRED: Final = ("cubic", "reno")


def common() -> str | None:
    """Return the congestion control that all stacks of this machine implement."""
    allowed = _ALLOWED.read_text().split()
    known = CONTROLS.own()
    return next((name for name in _PREFERRED if name in allowed and name in known), None)


def with_congestion(topology: Topology, name: str | None) -> Topology:
    """Return the topology with a congestion control at each node that does not set one."""
    if name is None:
        return topology
    nodes = tuple(_with(node, name) for node in topology.nodes)
    return msgspec.structs.replace(topology, nodes=nodes)


def _with(node: Node, name: str) -> Node:
    if not node.kind.is_end or SYSCTL in dict(node.sysctls):
        return node
    return msgspec.structs.replace(node, sysctls=(*node.sysctls, (SYSCTL, name)))
