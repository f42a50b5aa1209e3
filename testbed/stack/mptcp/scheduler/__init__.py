"""The schedulers by name. A new one needs a module and a line here.

Another package adds one by an entry point. A program may register one in :data:`SCHEDULERS` before
it creates an endpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from testbed.registry import Registry, making
from testbed.stack.mptcp.scheduler.base import Scheduler
from testbed.stack.mptcp.scheduler.blest import Blest
from testbed.stack.mptcp.scheduler.daps import Daps
from testbed.stack.mptcp.scheduler.dems import Dems
from testbed.stack.mptcp.scheduler.earliest import Earliest
from testbed.stack.mptcp.scheduler.ecf import Ecf
from testbed.stack.mptcp.scheduler.linux import Linux
from testbed.stack.mptcp.scheduler.minrtt import MinRtt
from testbed.stack.mptcp.scheduler.otias import Otias
from testbed.stack.mptcp.scheduler.redundant import Redundant
from testbed.stack.mptcp.scheduler.roundrobin import RoundRobin

SCHEDULERS: Final[Registry[Callable[[], Scheduler]]] = Registry(
    "scheduler",
    "testbed.schedulers",
    {
        "blest": Blest,
        "daps": Daps,
        "dems": Dems,
        "earliest": Earliest,
        "ecf": Ecf,
        "linux": Linux,
        "minrtt": MinRtt,
        "otias": Otias,
        "redundant": Redundant,
        "roundrobin": RoundRobin,
    },
    making("scheduler", Scheduler),
)
