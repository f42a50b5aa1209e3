"""Our own stacks: TCP, and MPTCP with the endpoints and limits of ``ip mptcp`` in the node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from testbed.stack.mptcp.config import MptcpConfig
from testbed.stack.tcp.config import TcpConfig
from testbed.workload.stacks import options
from testbed.workload.stacks._userspace import Userspace
from testbed.workload.stacks.model import StackKind

if TYPE_CHECKING:
    from testbed.host.driver import Host
    from testbed.host.netcat import Stack

# Fields that depend on the node or the program, not on the choice of a stack.
_OF_HOST: Final = {options.DEVICE: str}
_NOT_CHOSEN: Final = frozenset({"gso", options.LINGER})  # its time is an option instead

UserspaceOptions: Final = options.of_configurations(
    "UserspaceOptions",
    MptcpConfig,
    TcpConfig,
    without=_NOT_CHOSEN | {"advertised_timeout_ns"},
    further=_OF_HOST,
)
UserspaceTcpOptions: Final = options.of_configurations(
    "UserspaceTcpOptions", TcpConfig, without=_NOT_CHOSEN, further=_OF_HOST
)


def mptcp_config(base: MptcpConfig, chosen: Any) -> MptcpConfig:
    """Return the configuration of an MPTCP endpoint with the chosen options.

    An option of both MPTCP and TCP, such as a buffer, is set for the connection and each subflow.
    """
    given = options.given(chosen)
    whole: MptcpConfig = options.configured(base, given)
    return msgspec.structs.replace(whole, tcp=options.configured(whole.tcp, given))


def tcp_config(base: TcpConfig, chosen: Any) -> TcpConfig:
    """Return the configuration of a TCP endpoint with the chosen options."""
    config: TcpConfig = options.configured(base, options.given(chosen))
    return config


def of_netcat(kind: StackKind, chosen: Any) -> Stack:
    """Return our own stack with the chosen options for ``testbed nc``.

    :param kind: the kind of our own stack; ``chosen`` is its options.
    """
    from testbed.host.devices.names import PACKET
    from testbed.host.netcat import Stack

    return Stack(
        tcp=lambda base: tcp_config(base, chosen),
        mptcp=(lambda base: mptcp_config(base, chosen)) if kind is USERSPACE else None,
        device=chosen.device or PACKET,
    )


def real_tcp(chosen: Any) -> TcpConfig:
    """Return the configuration of the TCP endpoint of a workload on real interfaces."""
    return tcp_config(_usual_tcp(), chosen)


def _usual_tcp() -> TcpConfig:
    """Return the node's TCP configuration, with Nagle's algorithm off as in all workloads."""
    from testbed.host import endpoints

    return msgspec.structs.replace(endpoints.usual(endpoints.TCP), nagle=False)


def _mptcp(chosen: Any) -> Userspace:
    def host() -> Host:
        from testbed.host import endpoints
        from testbed.host.devices.opening import open_device
        from testbed.host.driver import Host

        usual = msgspec.structs.replace(endpoints.MPTCP, tcp=_usual_tcp())
        node = endpoints.like_the_kernel(usual)
        make = endpoints.mptcp(mptcp_config(node, chosen), follow=True)
        return Host(make, device=open_device(chosen.device))

    return Userspace("userspace", chosen, host)


def _tcp(chosen: Any) -> Userspace:
    def host() -> Host:
        from testbed.host import endpoints
        from testbed.host.devices.opening import open_device
        from testbed.host.driver import Host

        make = endpoints.tcp(real_tcp(chosen))
        return Host(make, device=open_device(chosen.device))

    return Userspace("userspace-tcp", chosen, host)


USERSPACE: Final = StackKind(
    name="userspace",
    protocol="mptcp",
    in_kernel=False,
    summary="our MPTCP (RFC 8684)",
    options=UserspaceOptions,
    make=_mptcp,
)
USERSPACE_TCP: Final = StackKind(
    name="userspace-tcp",
    protocol="tcp",
    in_kernel=False,
    summary="our TCP (RFC 9293), without the MPTCP extension",
    options=UserspaceTcpOptions,
    make=_tcp,
)
