"""``python fast_open.py ROLE STACK ADDRESS PORT``: two connections with a question and an answer.

The stack ``userspace-early`` is ``userspace`` with ``early_answer``.

The client gives its question when it connects.  Both say when, on a clock that both can read, in
seconds: the client when it began and when it had the answer, the server when it had the question.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time

import msgspec
from path_events import KernelEvents

from testbed.host import endpoints
from testbed.host.driver import Host
from testbed.packet.address import Address

CONNECTIONS = 2
QUESTION, ANSWER = bytes(500), bytes(800)
MSG_FASTOPEN = 0x20000000
TCP_FASTOPEN = 23
PROTOCOLS = {"tcp": socket.IPPROTO_TCP, "mptcp": 262}


def say(*times):
    print(json.dumps(times), flush=True)


def open_socket(stack):
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM, PROTOCOLS[stack])


def receive(connection, octets):
    data = b""
    while len(data) < octets and (piece := connection.recv(octets - len(data))):
        data += piece
    assert len(data) == octets, len(data)


def kernel_server(stack, address, port):
    listener = open_socket(stack)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN, 16)
    listener.bind((address, port))
    listener.listen()
    events = KernelEvents() if stack == "mptcp" else None
    print("ready", flush=True)
    for _ in range(CONNECTIONS):
        with listener.accept()[0] as connection:
            receive(connection, len(QUESTION))
            say(time.monotonic())
            if events is not None:
                # The third ACK.  Linux 6.18 with MPTCP never sends what is written before it.
                events.await_one("established")
            connection.sendall(ANSWER)
            assert connection.recv(1) == b""


def kernel_client(stack, address, port):
    for _ in range(CONNECTIONS):
        with open_socket(stack) as connection:
            began = time.monotonic()
            connection.sendto(QUESTION, MSG_FASTOPEN, (address, port))
            receive(connection, len(ANSWER))
            say(began, time.monotonic())


def host(stack):
    """Return one of our stacks with TCP Fast Open."""
    tcp = msgspec.structs.replace(endpoints.usual(endpoints.TCP), fast_open=True)
    if stack == "userspace-tcp":
        return Host(endpoints.tcp(tcp))
    early = stack == "userspace-early"
    config = msgspec.structs.replace(endpoints.MPTCP, tcp=tcp, early_answer=early)
    config = endpoints.like_the_kernel(config)
    return Host(endpoints.mptcp(config, follow=True))


async def our_server(stack, address, port):
    ours = host(stack)
    done = asyncio.Semaphore(0)

    async def serve(reader, writer):
        await reader.readexactly(len(QUESTION))
        say(time.monotonic())
        writer.write(ANSWER)
        assert await reader.read() == b""
        writer.close()
        done.release()

    await ours.start_server(serve, Address(address, port))
    print("ready", flush=True)
    for _ in range(CONNECTIONS):
        await done.acquire()
    await ours.finish()


async def our_client(stack, address, port):
    ours = host(stack)
    for _ in range(CONNECTIONS):
        began = time.monotonic()
        reader, writer = await ours.open_connection(Address(address, port), data=QUESTION)
        await reader.readexactly(len(ANSWER))
        say(began, time.monotonic())
        writer.close()
        await writer.wait_closed()
        info = writer.get_extra_info("connection").info()
        assert not info.get("fallback", False)
    await ours.finish()


def main(role, stack, address, port):
    if stack in PROTOCOLS:
        {"server": kernel_server, "client": kernel_client}[role](stack, address, int(port))
    else:
        run = {"server": our_server, "client": our_client}[role]
        asyncio.run(run(stack, address, int(port)))


main(*sys.argv[1:])
