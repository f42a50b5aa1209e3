"""``python peer.py ROLE STACK ADDRESS PORT OCTETS SUBFLOWS``: one end of a transfer both ways.

It sends and receives so many octets at the same time.  It says "half" when it has received half of
them; and when it has all, and has seen so many subflows, what it has seen (a line of JSON).  At the
next line of input it closes the connection.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import sys

from testbed.workload.stacks import registry as stacks
from testbed.workload.transfer import Listener

CHUNK = 2**18
NOT_ESTABLISHED = (2, 3, 7, 10, 12)  # include/net/tcp_states.h


async def send(writer, octets, role):
    digest, rng = hashlib.sha256(), random.Random(role)
    while octets:
        data = rng.randbytes(min(octets, CHUNK))
        octets -= len(data)
        digest.update(data)
        writer.write(data)
        await writer.drain()
        await asyncio.sleep(0)
    return digest.hexdigest()


async def receive(reader, octets, at_half):
    half = octets // 2
    digest, longest_gap = hashlib.sha256(), 0.0
    clock = asyncio.get_running_loop().time
    last = None
    while octets:
        data = await reader.read(CHUNK)
        if not data:
            raise ConnectionError(f"the peer ended the connection {octets} octets too early")
        longest_gap, last = max(longest_gap, clock() - (last or clock())), clock()
        if octets > half >= octets - len(data):
            await at_half()
            print("half", flush=True)
        octets -= len(data)
        digest.update(data)
    return digest.hexdigest(), longest_gap


async def told_to_go_on():
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    loop.add_reader(sys.stdin, told.set)
    await told.wait()
    loop.remove_reader(sys.stdin)


async def subflows_are(count, stack, writer):
    """Wait until a connection has so many subflows; return what the stack says of it then.

    A poll: no event of a kernel's socket tells of its subflows.
    """
    while established(view := stack.inspect(writer)) < count:
        await asyncio.sleep(0.01)
    return view


def established(view):
    flows = view.get("mptcp_info", {}).get("subflows", ())
    return sum(flow["tcp"]["state"] not in NOT_ESTABLISHED for flow in flows)


async def main(role, name, address, port, octets, subflows, at_half):
    stack = stacks.stack(name)
    server = None
    if role == "server":
        listener = Listener()
        server = await stack.listen(listener.put, (address, int(port)))
        print("ready", flush=True)
        reader, writer = await listener.accept()
    else:
        reader, writer = await stack.connect((address, int(port)))
    sent, (received, gap) = await asyncio.gather(
        send(writer, int(octets), role),
        receive(reader, int(octets), lambda: subflows_are(int(at_half), stack, writer)),
    )
    view = await subflows_are(int(subflows), stack, writer)
    print(json.dumps({"sent": sent, "received": received, "gap": gap, "view": view}), flush=True)
    await told_to_go_on()
    writer.write_eof()
    if await reader.read(1):
        raise ConnectionError("there is more than was to come")
    writer.close()
    await writer.wait_closed()
    if server is not None:
        server.close()
    await stack.finish()


asyncio.run(main(*sys.argv[1:]))
