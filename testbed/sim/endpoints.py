"""The stacks that simulated hosts can have."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Final

from testbed.sim.host import EndpointFactory, LocalNetwork
from testbed.stack.connection import Endpoint
from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.mptcp.endpoint import MptcpEndpoint
from testbed.stack.mptcp.path_manager import PathEndpoint, PathLimits
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.endpoint import TcpEndpoint
from testbed.topology.model import EndpointFlag, Node
from testbed.topology.paths import KERNEL_LIMITS

_TCP: Final = TcpConfig(nagle=False)  # as the workloads have it on the kernel's sockets


def tcp(_: Node, random: Random, __: LocalNetwork) -> Endpoint:
    """Return an endpoint that speaks plain TCP."""
    return TcpEndpoint(_TCP, random, random.randbytes(16))


def mptcp(node: Node, random: Random, local: LocalNetwork) -> Endpoint:
    """Return an endpoint that speaks MPTCP with the limits and endpoints of the node."""
    limits = node.limits or KERNEL_LIMITS
    config = MptcpConfig(
        tcp=_TCP,
        limits=PathLimits(subflows=limits.subflows, add_addr_accepted=limits.add_addr_accepted),
        endpoints=tuple(
            PathEndpoint(
                host=endpoint.address,
                id=endpoint.id,
                port=endpoint.port,
                **{flag.value: flag in endpoint.flags for flag in EndpointFlag},
            )
            for endpoint in node.endpoints
        ),
    )
    return MptcpEndpoint(config, random, random.randbytes(16), local)


# By the names that stacks have in experiments.
ENDPOINTS: Final[Mapping[str, EndpointFactory]] = {"userspace": mptcp, "userspace-tcp": tcp}
PROTOCOLS: Final[Mapping[str, str]] = {"userspace": "mptcp", "userspace-tcp": "tcp"}
