"""``python relay.py STACK PORT TARGET_PORT``: a listener that joins connections to a local program.

What comes over the stack goes to the kernel's TCP on 127.0.0.1, and back: so any program that
serves TCP becomes a peer of any program that speaks MPTCP.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

from testbed.workload.stacks import registry as stacks


async def copy(reader, writer):
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(2**18):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


async def serve(near, target):
    far = await asyncio.open_connection("127.0.0.1", target)
    await asyncio.gather(copy(near[0], far[1]), copy(far[0], near[1]))
    for _, writer in (near, far):
        writer.close()


async def main(name, port, target):
    tasks = set()

    def accepted(reader, writer):
        tasks.add(asyncio.ensure_future(serve((reader, writer), int(target))))

    await stacks.stack(name).listen(accepted, ("0.0.0.0", int(port)))
    print("ready", flush=True)
    await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:]))
