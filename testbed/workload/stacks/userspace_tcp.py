"""Our TCP, without the MPTCP extension."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.workload.stacks._userspace import Userspace

if TYPE_CHECKING:
    from testbed.host.driver import Host


def _host() -> Host:
    from testbed.host import endpoints
    from testbed.host.driver import Host

    return Host(endpoints.tcp())


STACK = Userspace("userspace-tcp", protocol="tcp", host=_host)
