"""Programs that do not start in time."""

from __future__ import annotations

import asyncio

import pytest

from testbed.errors import WorkloadError
from testbed.workload.command import prepared
from testbed.workload.flow import Flow
from testbed.workload.spec import Command, Program
from testbed.workload.stacks.choice import read


class Stuck:
    """A launcher whose programs never start."""

    async def spawn(self, node, argv, *, empty_input=False):
        await asyncio.Event().wait()


@pytest.mark.parametrize("several", [True, False])
def test_a_program_that_is_not_started_in_time_is_named(several):
    server = Program(node="server", argv=("nc", "-l"), ready=5001)
    client = Program(node="client", argv=("nc", "server"))
    programs = (server, client) if several else (client,)
    workload = Command(source="client", target="server", programs=programs)
    flow = Flow(name="workload", workload=workload, stack=read("tcp"), address="10.0.0.2")

    async def run():
        async with prepared(flow, workload, Stuck(), 1, 10_000_000, lambda _: None) as begun:
            await begun.run(0)

    with pytest.raises(WorkloadError, match=r"^nc did not start within 0.01 s"):
        asyncio.run(run())
