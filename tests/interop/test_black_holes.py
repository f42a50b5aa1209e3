"""A router drops SYNs with MP_CAPABLE on the way to the kernel (RFC 8684, section 3.9.3)."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from testbed.topology.load import loads_topology
from testbed.topology.model import Family
from testbed.topology.resolve import resolve

from .conftest import PORT, complaint, said

pytestmark = pytest.mark.sandbox

HERE = Path(__file__).parent
NETWORK = """
nodes: {client: {}, box: {kind: router}, server: {}}
links:
  near: {between: [client, box]}
  far: {between: [box, server]}
"""
# A server on the kernel's MPTCP that sends all data back.
ECHO = f"""
import socket
listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("0.0.0.0", {PORT}))
listener.listen()
print("ready", flush=True)
for _ in range(2):
    connection, _ = listener.accept()
    while piece := connection.recv(2**16):
        connection.sendall(piece)
    connection.close()
"""


def test_second_connection_does_without_the_option(lab):
    """The first one takes two retransmissions; the second one knows."""

    async def test(lab):
        box = await lab.start("box", str(HERE / "swallowing.py"), "near", "far")
        assert await said(box) == "ready"
        server = await lab.start("server", "-c", ECHO)
        assert await said(server) == "ready"
        options = json.dumps({"rto_initial": "100ms", "rto_min": "100ms"})
        asking = str(HERE / "asking.py")
        client = await lab.start("client", asking, options, lab.address, str(PORT), "2")
        first, second = [json.loads(await said(client)) for _ in range(2)]
        assert first[0] >= 700  # 100 + 200 + 400
        assert first[0] > 2 * second[0]
        assert first[1] is second[1] is True
        for program in (client, server):
            assert (await program.wait()).returncode == 0, await complaint(program)
        await box.kill(signal.SIGTERM)
        await box.wait()

    lab(resolve(loads_topology(NETWORK), family=Family.IPV4), Family.IPV4, test)
