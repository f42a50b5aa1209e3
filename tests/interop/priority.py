"""``python priority.py ADDRESS PORT``: two subflows to the kernel; the second becomes a backup.

It sends, and prints how many octets each subflow has carried and received: a list of pairs.
"""

from __future__ import annotations

import asyncio
import json
import sys

from path_events import Traced

from testbed.host import endpoints
from testbed.host.driver import Host
from testbed.packet.address import Address
from testbed.stack.mptcp.endpoint import MptcpEndpoint
from testbed.stack.mptcp.path_manager.base import SetBackup

OCTETS = 500_000


async def main(address, port):
    traced = Traced()
    config = endpoints.like_the_kernel(endpoints.MPTCP)
    host = Host(endpoints.mptcp(config, traced, follow=True))
    reader, writer = await host.open_connection(Address(address, int(port)))
    connection = writer.get_extra_info("connection")
    mptcp = host.endpoint
    assert isinstance(mptcp, MptcpEndpoint)
    writer.write(bytes(1))  # no join before the peer has confirmed data
    await traced.until(lambda: sum(one.usable for one in connection.subflows) == 2)
    flows = [one.path.flow for one in connection.subflows]
    for backup in (True, False, True):
        command = SetBackup(flow=flows[1], backup=backup)
        mptcp.paths.execute(connection.keys.token, command, host.now())
        host.wake()
        await asyncio.sleep(0)
    writer.write(bytes(OCTETS - 1))
    await writer.drain()
    writer.write_eof()
    while await reader.read(2**16):
        pass
    writer.close()
    await writer.wait_closed()
    info = connection.info()
    await host.finish()
    flows = sorted((*info["ended"], *info["subflows"]), key=lambda one: one["id"])
    counts = [(one["tcp"]["bytes_acked"], one["tcp"]["bytes_received"]) for one in flows]
    print(json.dumps(counts), flush=True)


asyncio.run(main(*sys.argv[1:]))
