"""Programs that events start."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from testbed.errors import SandboxError
from testbed.experiment.events import Action
from testbed.experiment.programs import Programs


class Refusing:
    """A sandbox in which nothing can be started."""

    async def spawn(self, node, argv, **streams):
        raise SandboxError("no")


def test_a_program_that_cannot_be_started_leaves_no_descriptor_open():
    programs = Programs(Refusing())
    action = Action(at_ns=0, text="run", node="client", argv=("true",), operations=())
    before = [*Path("/proc/self/fd").iterdir()]

    async def twice():
        for index in range(2):
            with pytest.raises(SandboxError):
                await programs.carry_out(index, action)

    asyncio.run(twice())
    assert len([*Path("/proc/self/fd").iterdir()]) == len(before)
