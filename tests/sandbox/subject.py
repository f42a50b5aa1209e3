"""``python subject.py NAME BACKGROUND < PLAN``: a process that tests kill.

Makes a sandbox, builds the plan in it, starts processes and keeps changing a wire, for ever. Says
on standard output how far it has come.
"""

from __future__ import annotations

import asyncio
import sys

import msgspec

from testbed.sandbox import Sandbox
from testbed.topology.operations import Plan, SetWire


async def main(name: str, *, background: bool) -> None:
    """Live until killed; in the background, leave the sandbox behind."""
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    print("started", flush=True)
    sandbox = await Sandbox.create(name)
    print("created", flush=True)
    await sandbox.execute(plan)
    print("built", flush=True)
    for node in ("client", "server"):
        # A grandchild in a session of its own: no process group reaches it.
        await sandbox.spawn(node, ["sh", "-c", "setsid sleep 1000 & sleep 1000"])
    print("running", flush=True)
    if background:
        await sandbox.detach()
        print("detached", flush=True)
        return
    while True:
        for loss in ("1%", "0.5%"):
            await sandbox.execute([SetWire(link="link", toward="b", options={"loss": loss})])


asyncio.run(main(sys.argv[1], background=sys.argv[2] == "background"))
