"""``python asking.py OPTIONS ADDRESS PORT COUNT``: our MPTCP connects again and again, and asks.

It prints of each connection how many milliseconds it took to be open, and whether it fell back to
TCP: a line of JSON.

:param OPTIONS: of the stack, a JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from testbed.workload.stacks import options, registry


async def main(chosen, address, port, count):
    kind = registry.kind("userspace")
    stack = registry.stack("userspace", options.decode(kind, json.loads(chosen)))
    for _ in range(int(count)):
        began = time.monotonic()
        reader, writer = await stack.connect((address, int(port)))
        opened = time.monotonic() - began
        writer.write(b"question")
        assert await reader.readexactly(8) == b"question"
        fallback = stack.inspect(writer)["mptcp_info"]["fallback"]
        print(json.dumps([opened * 1000, fallback]), flush=True)
        writer.close()
        await writer.wait_closed()
    await stack.finish()


asyncio.run(main(*sys.argv[1:]))
