"""``python aborting.py ROLE STACK OPTIONS ADDRESS PORT WHO``: a connection that one end aborts.

Both exchange some octets over two subflows first.  The end whose role is WHO then aborts; the other
one prints how its stream has ended: a line of JSON.

:param OPTIONS: of the stack, a JSON object.
"""

from __future__ import annotations

import asyncio
import errno
import json
import socket
import struct
import sys

from testbed.workload.stacks import options, registry
from testbed.workload.transfer import Listener

OCTETS = 1000
NOT_ESTABLISHED = (2, 3, 7, 10, 12)  # include/net/tcp_states.h


def established(view):
    flows = view.get("mptcp_info", {}).get("subflows", ())
    return sum(flow["tcp"]["state"] not in NOT_ESTABLISHED for flow in flows)


def abort(writer):
    """Abort: a socket of the kernel is closed without lingering."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def ending(reader):
    """Return the name of the error with which a stream ends, "" if it ends in order."""
    try:
        while await reader.read(OCTETS):
            pass
    except OSError as error:
        return errno.errorcode[error.errno]
    return ""


async def main(role, name, chosen, address, port, who):
    kind = registry.kind(name)
    stack = registry.stack(name, options.decode(kind, json.loads(chosen)))
    server = None
    if role == "server":
        listener = Listener()
        server = await stack.listen(listener.put, (address, int(port)))
        print("ready", flush=True)
        reader, writer = await listener.accept()
    else:
        reader, writer = await stack.connect((address, int(port)))
    writer.write(bytes(OCTETS))
    await reader.readexactly(OCTETS)
    # A poll: no event of a kernel's socket tells of its subflows.
    while established(stack.inspect(writer)) < 2:
        await asyncio.sleep(0.01)
    print("open", flush=True)
    if role == who:
        sys.stdin.readline()
        abort(writer)
    else:
        print(json.dumps(await ending(reader)), flush=True)
        writer.close()
    if server is not None:
        server.close()
    await stack.finish()


asyncio.run(main(*sys.argv[1:]))
