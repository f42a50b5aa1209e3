"""The stacks of simulated hosts."""

from __future__ import annotations

from random import Random
from typing import Final

import msgspec

from testbed.prediction import path_endpoint, path_limits
from testbed.sim.host import EndpointFactory
from testbed.stack.connection import Endpoint
from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.mptcp.endpoint import MptcpEndpoint
from testbed.stack.mptcp.local_network import LocalNetwork
from testbed.stack.tcp.config import TcpConfig
from testbed.stack.tcp.endpoint import TcpEndpoint
from testbed.topology.model import Node

DEFAULT: Final = TcpConfig(nagle=False)  # the workloads set TCP_NODELAY on the kernel's sockets
MPTCP: Final = MptcpConfig(tcp=DEFAULT)


def tcp(config: TcpConfig = DEFAULT) -> EndpointFactory:
    """Return a factory of TCP endpoints."""

    def make(_: Node, random: Random, __: LocalNetwork) -> Endpoint:
        return TcpEndpoint(config, random.randbytes(16))

    return make


def mptcp(config: MptcpConfig = MPTCP, subflows: int | None = None) -> EndpointFactory:
    """Return a factory of MPTCP endpoints with limits, endpoints and sysctls of the node.

    :param config: all other settings. Checksums are required if it or the node's sysctl requires
        them.
    :param subflows: the limit of subflows per connection, which overrides the node's limits.
    """

    def make(node: Node, random: Random, local: LocalNetwork) -> Endpoint:
        limits = path_limits(node)
        if subflows is not None:
            limits = msgspec.structs.replace(limits, subflows=subflows - 1)
        required = dict(node.sysctls).get("net.mptcp.checksum_enabled") == "1"
        whole = msgspec.structs.replace(
            config,
            checksum=config.checksum or required,
            limits=limits,
            endpoints=tuple(map(path_endpoint, node.endpoints)),
        )
        return MptcpEndpoint(whole, random, random.randbytes(16), local)

    return make
