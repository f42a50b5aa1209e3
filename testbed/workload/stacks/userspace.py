"""Our MPTCP, with the endpoints and limits that ``ip mptcp`` shows in the node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.workload.stacks._userspace import Userspace

if TYPE_CHECKING:
    from testbed.host.driver import Host


def _host() -> Host:
    from testbed.host import endpoints
    from testbed.host.driver import Host

    config = endpoints.like_the_kernel(endpoints.MPTCP)
    return Host(endpoints.mptcp(config))


STACK = Userspace("userspace", protocol="mptcp", host=_host)
