"""A flow of a run: a workload with everything that its execution needs."""

from __future__ import annotations

import msgspec

from testbed.workload.base import Workload
from testbed.workload.stacks.choice import StackChoice

WORKLOAD = "workload"  # the name of the single flow of the short form


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """A flow of a run.

    :param name: its name in the experiment.
    :param workload: its workload, with the port.
    :param stack: the stack of both ends.
    :param rival: whether the stack is not the one under test.
    :param address: the address of the target to connect to.
    """

    name: str
    workload: Workload
    stack: StackChoice
    rival: bool = False
    address: str
