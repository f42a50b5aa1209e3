"""What ends the program of a flow."""

from __future__ import annotations

import asyncio
from typing import Any

from testbed.errors import SandboxError
from testbed.workload import program


class Gone:
    """A program whose sandbox has ended."""

    def __init__(self) -> None:
        self.stderr = asyncio.StreamReader()
        self.stdout = asyncio.StreamReader()

    async def kill(self, number: int) -> None:
        raise SandboxError("the sandbox ended")

    async def wait(self) -> Any:
        raise SandboxError("the sandbox ended")


def test_it_has_ended_with_its_sandbox() -> None:
    """The sandbox reports its fault elsewhere; a second report here would have no reader."""

    class Launcher:
        async def spawn(self, *_: object, **__: object) -> Any:
            return Gone()

    async def main() -> object:
        launcher: Any = Launcher()
        async with program.launched(launcher, "client", ["cat"], "cat") as running:
            return running.exit

    assert asyncio.run(main()) is None
