"""The kernel's MPTCP, beside a program whose supervisor is killed; it says how connections end.

``watched.py serve HOST PORT`` accepts, and learns from the first octet of a connection what it is
like: ``r`` only reads, ``s`` sends without an end, too, ``e`` ends its own side and reads on, ``g``
greets with an octet and only reads then.
``watched.py connect HOST PORT KINDS`` opens one connection of each kind.

When its standard input ends it waits for the end of each connection.  It writes one JSON line: for
each, its first octets, whether the end of the data was read, and the error.
"""

from __future__ import annotations

import json
import select
import socket
import sys

IPPROTO_MPTCP = 262
OVER = select.EPOLLHUP | select.EPOLLERR
TAG = 2  # octets: the kind, and what the program is going to do


class Watched:
    """One connection."""

    def __init__(self, sock: socket.socket, kind: str = "") -> None:
        self.sock = sock
        self.tag = b""
        self.kind = ""
        self.ended = False
        sock.settimeout(0)
        if kind:
            self.become(kind)

    def become(self, kind: str) -> None:
        self.kind = kind
        if kind == "e":
            self.sock.shutdown(socket.SHUT_WR)
        elif kind == "g":
            self.sock.send(b"g")

    @property
    def events(self) -> int:
        return (0 if self.ended else select.EPOLLIN) | (select.EPOLLOUT if self.kind == "s" else 0)

    def turn(self, events: int) -> int | None:
        """Read and write what can be; return the error with which it has ended, 0 without one."""
        try:
            if events & (select.EPOLLIN | OVER) and not self.ended:
                self.read()
            if events & select.EPOLLOUT and self.kind == "s":
                self.sock.send(bytes(16384))
        except BlockingIOError:
            return None
        except OSError as error:
            return error.errno
        if self.ended and events & OVER:  # both sides are over
            return self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return None

    def read(self) -> None:
        data = self.sock.recv(65536)
        self.ended = not data
        if len(self.tag) < TAG:
            self.tag += data[: TAG - len(self.tag)]
            if self.tag and not self.kind:
                self.become(chr(self.tag[0]))


def serve(host: str, port: int) -> socket.socket:
    server = socket.socket(family(host), socket.SOCK_STREAM, IPPROTO_MPTCP)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((host, port))
    server.listen(64)
    return server


def connect(host: str, port: int, kind: str) -> Watched:
    sock = socket.socket(family(host), socket.SOCK_STREAM, IPPROTO_MPTCP)
    sock.connect((host, port))
    return Watched(sock, kind)


def family(host: str) -> int:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def watch(server: socket.socket | None, there: list[Watched]) -> list[dict]:
    """Return what has become of connections once standard input has ended and all are over."""
    outcomes: list[dict] = []
    asked = True
    while asked or there:
        poll = select.epoll()
        known = {one.sock.fileno(): one for one in there}
        for fd, one in known.items():
            poll.register(fd, one.events)
        for source in (sys.stdin if asked else None, server):
            if source is not None:
                poll.register(source, select.EPOLLIN)
        for fd, events in poll.poll():
            if fd in known:
                one = known[fd]
                error = one.turn(events)
                if error is not None:
                    there.remove(one)
                    outcomes.append({"tag": one.tag.decode(), "ended": one.ended, "error": error})
            elif server is not None and fd == server.fileno():
                there.append(Watched(server.accept()[0]))
            else:
                asked = bool(sys.stdin.buffer.read1(1))
        poll.close()
    return outcomes


def main() -> None:
    role, host, port, *kinds = sys.argv[1:]
    server = serve(host, int(port)) if role == "serve" else None
    there = [connect(host, int(port), kind) for kind in "".join(kinds)]
    print("ready", flush=True)
    print(json.dumps(watch(server, there)), flush=True)


main()
