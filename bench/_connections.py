"""``python bench/_connections.py ROLE STACK ADDRESS COUNT``: one end of many connections at once.

Every connection carries a message there and back, and stays open.  The process prints JSON with
its memory use when all are open.  It ends at the end of its input.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import sys
import time
from pathlib import Path

from testbed.workload.stacks import registry as stacks

PORT = 5001
MESSAGE = bytes(1000)
OPENING = 50  # connections that are being opened at a time


def resident() -> int:
    """Return the memory of this process in octets."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Return the message."""
    writer.write(await reader.readexactly(len(MESSAGE)))


async def main(role: str, name: str, address: str, count: int) -> None:
    """Open all connections, report it, and keep them open."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    stack = stacks.stack(name)
    writers: list[asyncio.StreamWriter] = []
    at_once = asyncio.Semaphore(OPENING)
    all_there = asyncio.Event()
    tasks = set()

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await echo(reader, writer)
        if len(writers) == count:
            all_there.set()

    async def dial() -> None:
        async with at_once:
            reader, writer = await stack.connect((address, PORT))
            writers.append(writer)
            writer.write(MESSAGE)
            await reader.readexactly(len(MESSAGE))

    # Open one listener or connection first, to exclude the fixed memory of a process.
    if role == "server":
        await stack.listen(
            lambda *pair: tasks.add(asyncio.ensure_future(served(*pair))), (address, PORT)
        )
    before, started = resident(), time.monotonic()
    print("ready", flush=True)
    if role == "client":
        await asyncio.gather(*(dial() for _ in range(count)))
    else:
        await all_there.wait()
    seconds = time.monotonic() - started
    tasks.clear()
    print(json.dumps({"seconds": seconds, "each": (resident() - before) / count}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
