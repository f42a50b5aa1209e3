"""Endpoints of the kernel as our path managers see them."""

from __future__ import annotations

from testbed.host.path_manager import path_endpoints
from testbed.netlink import mptcp
from testbed.netlink.mptcp import KernelEndpoint
from testbed.stack.mptcp.path_manager.base import PathEndpoint


def endpoint(number: int, flags: int, port: int = 0) -> KernelEndpoint:
    address = f"::ffff:10.0.{number}.1"
    return KernelEndpoint(address=address, id=number, flags=flags, interface=0, port=port)


def test_flags_have_the_meaning_of_the_kernel() -> None:
    found = [
        endpoint(1, mptcp.SUBFLOW | mptcp.BACKUP | mptcp.FULLMESH),
        endpoint(2, mptcp.SIGNAL, port=81),
        endpoint(3, mptcp.LAMINAR),
    ]
    assert path_endpoints(found) == (
        PathEndpoint(host="10.0.1.1", id=1, subflow=True, backup=True, fullmesh=True),
        PathEndpoint(host="10.0.2.1", id=2, signal=True, port=81),
        PathEndpoint(host="10.0.3.1", id=3, laminar=True),
    )


def test_what_the_kernel_noted_for_itself_is_no_endpoint() -> None:
    assert path_endpoints([endpoint(4, mptcp.IMPLICIT)]) == ()
