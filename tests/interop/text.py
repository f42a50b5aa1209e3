"""``python text.py ROLE STACK ADDRESS PORT CHANGED ORIGINAL``: text both ways, which a box changes.

Prints whether what came is what was sent, with each CHANGED put back to ORIGINAL; whether there
was any, and what MPTCP_INFO says.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys

from testbed.workload.stacks import registry as stacks
from testbed.workload.transfer import Listener

LINES = 300


def text(role, original):
    letters = random.Random(role)
    lines = ("".join(letters.choices("abcdefghij", k=1000)) for _ in range(LINES))
    return original.join(lines).encode()


async def main(role, name, address, port, changed, original):
    stack = stacks.stack(name)
    server = None
    if role == "server":
        listener = Listener()
        server = await stack.listen(listener.put, (address, int(port)))
        print("ready", flush=True)
        reader, writer = await listener.accept()
    else:
        reader, writer = await stack.connect((address, int(port)))
    writer.write(text(role, original))
    received, view = b"", {}
    expected = text("client" if role == "server" else "server", original)
    while len(received.replace(changed.encode(), original.encode())) < len(expected):
        data = await reader.read(2**16)
        if not data:
            break
        received += data
        view = stack.inspect(writer)
    writer.write_eof()
    assert not await reader.read(1)
    writer.close()
    await writer.wait_closed()
    whole = received.replace(changed.encode(), original.encode()) == expected
    seen = {"whole": whole, "changed": changed.encode() in received, "view": view}
    print(json.dumps(seen), flush=True)
    if server is not None:
        server.close()
    await stack.finish()


asyncio.run(main(*sys.argv[1:]))
