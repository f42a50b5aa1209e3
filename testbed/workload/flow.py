"""A flow of a run: a workload with everything that is needed to carry it out."""

from __future__ import annotations

import msgspec

from testbed.workload.base import Workload
from testbed.workload.stacks.choice import StackChoice

WORKLOAD = "workload"  # what the one flow of the short form is called


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """One of the workloads of a run.

    :param name: as the experiment calls it.
    :param workload: with its port.
    :param stack: what both ends use.
    :param rival: the stack is not the one under test.
    :param address: of the target, to be dialled.
    """

    name: str
    workload: Workload
    stack: StackChoice
    rival: bool = False
    address: str
