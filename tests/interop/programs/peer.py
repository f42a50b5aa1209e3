"""The kernel's end of the checks: ``python peer.py PORT``; what it does follows from the port.

``PORT`` echoes; ``PORT + 1`` resets when it has read an octet; ``PORT + 2`` reads to the end, then
says how many octets there were; ``PORT + 3`` sends an octet and resets when it reads the end.
"""

from __future__ import annotations

import socket
import struct
import sys
import threading

RESET = struct.pack("ii", 1, 0)


def echo(sock: socket.socket) -> None:
    while data := sock.recv(65536):
        sock.sendall(data)


def reset(sock: socket.socket) -> None:
    sock.recv(1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def count(sock: socket.socket) -> None:
    octets = 0
    while data := sock.recv(65536):
        octets += len(data)
    sock.sendall(str(octets).encode())


def reset_at_end(sock: socket.socket) -> None:
    sock.sendall(b"x")
    while sock.recv(65536):
        pass
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def serve(port: int, what) -> None:
    server = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)

    def carry(sock: socket.socket) -> None:
        with sock:
            try:
                what(sock)
            except OSError as error:
                print(port, error, flush=True)

    def accept() -> None:
        while True:
            sock, _ = server.accept()
            threading.Thread(target=carry, args=(sock,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


for offset, each in enumerate((echo, reset, count, reset_at_end)):
    serve(int(sys.argv[1]) + offset, each)
print("ready", flush=True)
sys.stdin.read()
