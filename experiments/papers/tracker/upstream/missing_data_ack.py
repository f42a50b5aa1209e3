#!/usr/bin/env python3
"""Catch an MPTCP connection that stands still because a Data ACK is missing.

    unshare -rn python3 missing_data_ack.py [CONGESTION_CONTROL ...]

needs Python 3.9, iproute2, and a kernel with MPTCP; nothing of testbed, no netem, and root only
where ordinary users may make no namespaces.

A client writes for 3 s, as fast as it may, over one veth pair to a server that reads all there is:
by TCP and by MPTCP with one subflow, in turn, three times, with each congestion control (bbr and
reno, if none is named).  Printed are the rates and, of MPTCP, how often its retransmission timer
expired (MPTCPRetrans) and for how long the longest write had to wait.  Nothing is lost on the way.

When a write waits for more than 50 ms, both ends are looked at: whether TCP has something
unacknowledged (Send-Q) or unread (Recv-Q), how much MPTCP has written that no Data ACK has
acknowledged (write_seq less snd_una), and how much of that the server has received (its rcv_nxt
less snd_una).  A look counts if the client is the same after it.
"""

import ctypes
import os
import platform
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

PROTOCOLS = {"tcp": socket.IPPROTO_TCP, "mptcp": 262}
CLONE_NEWNET = 0x40000000
NUMBER = r"(write_seq|snd_una|rcv_nxt):([0-9a-f]+)"
QUEUES = r"^(tcp|mptcp) +ESTAB +(\d+) +(\d+)"
PORTS = {"tcp": 5001, "mptcp": 5002}
SECONDS, TIMES, LONG_S, CHUNK = 3.0, 3, 0.05, bytes(2**16)


def ip(*words: str) -> None:
    """Run iproute2."""
    subprocess.run(("ip", *words), check=True)


def address(end: int) -> None:
    """Bring this end of the pair up: 1 is the client, 2 the server."""
    ip("link", "set", "lo", "up")
    ip("addr", "add", f"10.1.1.{end}/24", "dev", "path")
    ip("link", "set", "path", "up")


def new(name: str) -> socket.socket:
    """Return a socket of one of the protocols."""
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM, PROTOCOLS[name])


def server(ready: int, go: int) -> None:
    """Read all; runs in a process and a network namespace of its own."""

    def read(connection: socket.socket) -> None:
        buffer = bytearray(2**18)
        while connection.recv_into(buffer):
            pass

    def accept(listener: socket.socket) -> None:
        while True:
            threading.Thread(target=read, args=(listener.accept()[0],), daemon=True).start()

    ctypes.CDLL(None).unshare(CLONE_NEWNET)
    os.write(ready, b".")
    os.read(go, 1)
    address(2)
    for name, port in PORTS.items():
        listener = new(name)
        listener.bind(("", port))
        listener.listen()
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
    os.write(ready, b".")
    signal.pause()


def retransmissions() -> int:
    """Return how often MPTCP's own retransmission timer has sent something."""
    lines = [line.split() for line in Path("/proc/net/netstat").read_text().splitlines()]
    names, values = [line for line in lines if line[0] == "MPTcpExt:"]
    return int(values[names.index("MPTCPRetrans")])


class Transfer:
    """One transfer: its rate in Mbit/s, the longest wait of a write, and what a look saw."""

    def __init__(self, name: str, control: str, peer: int) -> None:
        self.seen, self.longest, self._peer = "", 0.0, peer
        self._over, self._last, before = False, time.monotonic(), retransmissions()
        connection = new(name)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, control.encode())
        connection.connect(("10.1.1.2", PORTS[name]))
        threading.Thread(target=self._watch, daemon=True).start()
        sent, start = 0, time.monotonic()
        while self._last - start < SECONDS:
            sent += connection.send(CHUNK)
            now = time.monotonic()
            self.longest, self._last = max(self.longest, now - self._last), now
        self._over = True
        connection.close()
        self.rate = sent * 8 / (self._last - start) / 1e6
        self.retransmitted = retransmissions() - before

    def _watch(self) -> None:
        while not self._over and not self.seen:
            time.sleep(LONG_S / 10)
            if time.monotonic() - self._last > LONG_S:
                before, other, after = look(), look(self._peer), look()
                if "snd_una" in before and before == after:
                    self.seen = compared(before, other)


def look(process: int | None = None) -> dict[str, int]:
    """Return what ss says of the only connection, here or in the namespace of a process."""
    there = ("nsenter", "-n", "-t", str(process)) if process else ()
    said = subprocess.run((*there, "ss", "-tMnimH"), capture_output=True, text=True, check=True)
    found = {name: int(text, 16) for name, text in re.findall(NUMBER, said.stdout)}
    for protocol, received, sent in re.findall(QUEUES, said.stdout, re.MULTILINE):
        found |= {f"{protocol} Recv-Q": int(received), f"{protocol} Send-Q": int(sent)}
    return found


def compared(client: dict[str, int], server: dict[str, int]) -> str:
    """Return in words what the two ends know of one another."""
    acknowledged = client["snd_una"]
    return (
        f"  client: TCP's Send-Q {client['tcp Send-Q']}, "
        f"written and not Data-ACKed {client['write_seq'] - acknowledged}\n"
        f"  server: received of that {server['rcv_nxt'] - acknowledged}, "
        f"Recv-Q {server['tcp Recv-Q']} and {server['mptcp Recv-Q']}\n"
    )


def main() -> int:
    """Print the rates; return 1 if a connection stood still."""
    (ready, said), (told, go) = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        server(said, told)
    stood, shown = False, False
    try:
        os.read(ready, 1)
        ip("link", "add", "path", "type", "veth", "peer", "path", "netns", str(child))
        address(1)
        os.write(go, b".")
        os.read(ready, 1)
        print(f"Linux {platform.release()}, {os.cpu_count()} processors")
        for control in sys.argv[1:] or ("bbr", "reno"):
            for _ in range(TIMES):
                tcp, mptcp = (Transfer(name, control, child) for name in PROTOCOLS)
                rates = f"TCP {tcp.rate:.0f} Mbit/s, MPTCP {mptcp.rate:.0f}"
                waits = f"{mptcp.retransmitted} MPTCPRetrans, longest wait {mptcp.longest:.3f} s"
                print(f"{control}: {rates}: {mptcp.rate / tcp.rate:.3f}; {waits}", flush=True)
                if mptcp.seen and not shown:
                    print(mptcp.seen, end="", flush=True)
                    shown = True
                stood = stood or mptcp.retransmitted > 0
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return int(stood)


if __name__ == "__main__":
    sys.exit(main())
