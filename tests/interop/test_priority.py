"""MP_PRIO to and from the kernel (RFC 8684, section 3.3.8)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from testbed.topology.model import Family

from .conftest import PORT, complaint, said

pytestmark = pytest.mark.sandbox

PRIORITY = str(Path(__file__).with_name("priority.py"))
# A server on the kernel's MPTCP that sends all data back.
ECHO = f"""
import socket
listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("0.0.0.0", {PORT}))
listener.listen()
print("ready", flush=True)
connection, _ = listener.accept()
data = b""
while piece := connection.recv(2**16):
    data += piece
connection.sendall(data)
connection.close()
"""


def test_the_kernel_hears_of_a_backup(lab):
    """The kernel counts each MP_PRIO, and sends on the other subflow."""

    async def test(lab):
        serving = await lab.start("server", "-c", ECHO)
        assert await said(serving) == "ready"
        client = await lab.start("client", PRIORITY, lab.address, str(PORT))
        first, second = json.loads(await said(client))
        for program in (client, serving):
            assert (await program.wait()).returncode == 0, await complaint(program)
        assert first[1] > 500_000 * 0.9
        assert second[1] < 500_000 * 0.1
        counters = await lab.counters("server")
        assert counters["MPTcpExtMPPrioRx"] == 3

    lab(["", ""], Family.IPV4, test)
