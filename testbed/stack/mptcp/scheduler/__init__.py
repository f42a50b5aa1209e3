"""Schedulers, by name.  Adding one is adding a module and a line here.

Programs may register further ones (:data:`SCHEDULERS`) before they make an endpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from testbed.stack.mptcp.scheduler.base import Scheduler
from testbed.stack.mptcp.scheduler.ecf import Ecf
from testbed.stack.mptcp.scheduler.minrtt import MinRtt
from testbed.stack.mptcp.scheduler.roundrobin import RoundRobin
from testbed.stack.registry import Registry

SCHEDULERS: Final[Registry[Callable[[], Scheduler]]] = Registry(
    "scheduler", {"ecf": Ecf, "minrtt": MinRtt, "roundrobin": RoundRobin}
)
