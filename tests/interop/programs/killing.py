"""A program over our stack that kills its supervisor, at a point that its seed chooses.

``killing.py connect SEED HOST PORT`` opens connections and does this and that with them; how many
and what follows from the seed.  The first two octets of each say what the peer is to do
(``watched.py``), and whether the program is going to close it (``c``) or to shut its side (``w``).
``killing.py listen SEED HOST PORT`` accepts some of the connections that come, and leaves others.
``killing.py joined N HOST PORT`` opens one connection and waits until it has N subflows.

It says when it is about to kill, and reads a line from standard input before that.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import sys
from pathlib import Path

SOL_MPTCP, MPTCP_INFO = 284, 1


def supervisor() -> int:
    text = Path(f"/proc/{os.getppid()}/stat").read_text(encoding="utf-8")
    return int(text.rpartition(")")[2].split()[1])


def kill(who: int) -> None:
    print("about to", flush=True)
    sys.stdin.readline()
    os.kill(who, signal.SIGKILL)


def family(host: str) -> int:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def connect(rng: random.Random, host: str, port: int) -> list[socket.socket]:
    kept = []
    for _ in range(rng.randint(1, 5)):
        sock = socket.socket(family(host))
        kept.append(sock)
        last = rng.choice("--cw")
        if rng.random() < 0.25:  # the end comes while it is being opened
            sock.settimeout(0)
            sock.connect_ex((host, port))
            continue
        sock.connect((host, port))
        if rng.random() < 0.2:
            continue  # nothing is ever sent
        sock.sendall((rng.choice("rse") + last).encode())
        for _ in range(rng.randint(0, 20)):
            act(rng, sock)
        if last == "c":
            sock.close()
        elif last == "w":
            sock.shutdown(socket.SHUT_WR)
    return kept


def act(rng: random.Random, sock: socket.socket) -> None:
    sock.settimeout(0)
    try:
        if rng.random() < 0.5:
            sock.recv(rng.randint(1, 65536))
        else:
            sock.send(bytes(rng.randint(1, 65536)))
    except BlockingIOError:
        pass


def listen(rng: random.Random, host: str, port: int) -> list[socket.socket]:
    server = socket.create_server((host, port), family=family(host), backlog=64)
    print("listening", flush=True)
    sys.stdin.readline()
    accepted = []
    for _ in range(rng.randint(0, 3)):
        sock, _ = server.accept()
        accepted.append(sock)
        sock.send(b"--")
        for _ in range(rng.randint(0, 20)):
            act(rng, sock)
    return [server, *accepted]


def joined(subflows: int, host: str, port: int) -> socket.socket:
    sock = socket.create_connection((host, port))
    sock.sendall(b"g-")
    sock.recv(1)
    while sock.getsockopt(SOL_MPTCP, MPTCP_INFO, 128)[0] + 1 < subflows:
        pass
    return sock


def main() -> None:
    how, number, host, port = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    killed = supervisor()
    if how == "joined":
        there = [joined(number, host, port)]
    else:
        there = {"connect": connect, "listen": listen}[how](random.Random(number), host, port)
    kill(killed)
    signal.pause()
    assert there


main()
