"""``python bench/_programs.py ROLE ...``: the programs that bench/programs.py measures.

``sink`` serves on the kernel's MPTCP: it reads each connection to the end and says (JSON) how many
octets came in how many seconds.  ``send ADDRESS OCTETS`` sends to it, and ``dial ADDRESS COUNT``
connects to it again and again and says how long each took; both know sockets alone.  ``dial`` with
a third argument does the same inside one process by the built-in stack of that name.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
import time

from testbed.workload.stacks import registry as stacks

PORT = 5002
CHUNK = bytes(256 * 1024)


def sink() -> None:
    """Serve until the end of the input."""
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_MPTCP)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("", PORT))
    server.listen(64)

    def serve() -> None:
        buffer = bytearray(len(CHUNK))
        while True:
            sock, _ = server.accept()
            began, octets = time.monotonic(), 0
            while count := sock.recv_into(buffer):
                octets += count
            seconds = time.monotonic() - began
            sock.close()
            print(json.dumps({"octets": octets, "seconds": seconds}), flush=True)

    threading.Thread(target=serve, daemon=True).start()
    print("ready", flush=True)
    sys.stdin.read()


def send(address: str, octets: int) -> None:
    """Send this number of octets, and wait for the end of the peer's data."""
    with socket.create_connection((address, PORT)) as sock:
        for at in range(0, octets, len(CHUNK)):
            sock.sendall(CHUNK[: octets - at])
        sock.shutdown(socket.SHUT_WR)
        sock.recv(1)


def dial(address: str, count: int) -> list[float]:
    """Connect repeatedly; return the seconds of each attempt, with the creation of its socket."""
    found = []
    for _ in range(count):
        began = time.monotonic()
        with socket.socket() as sock:
            sock.connect((address, PORT))
            found.append(time.monotonic() - began)
            sock.shutdown(socket.SHUT_WR)
            sock.recv(1)
    return found


async def dial_on(name: str, address: str, count: int) -> list[float]:
    """Do the same as :func:`dial`, over a built-in stack."""
    stack = stacks.stack(name)
    found = []
    for _ in range(count):
        began = time.monotonic()
        reader, writer = await stack.connect((address, PORT))
        found.append(time.monotonic() - began)
        writer.write_eof()
        await reader.read()
        writer.close()
    return found


def main(role: str, *arguments: str) -> None:
    """Play one role."""
    if role == "sink":
        sink()
    elif role == "send":
        send(arguments[0], int(arguments[1]))
    elif len(arguments) == 2:
        print(json.dumps(dial(arguments[0], int(arguments[1]))))
    else:
        print(json.dumps(asyncio.run(dial_on(arguments[2], arguments[0], int(arguments[1])))))


if __name__ == "__main__":
    main(*sys.argv[1:])
