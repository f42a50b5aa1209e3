#!/usr/bin/env python3
"""Try whether an MPTCP receiver stalls whose memory small pieces out of order have used up.

    unshare -rn python3 receive_stall.py [OCTETS [MEMORY]]

needs Python 3.9, iproute2 with `ip mptcp`, and a kernel with MPTCP; nothing of testbed, no netem,
and root only where ordinary users may make no namespaces.

A client writes 10 (OCTETS) octets each 2 ms for 6 s, over two veth pairs, to a server that reads
all there is at once and whose receive buffer is 8192 octets (MEMORY, the last of tcp_rmem).  After
2 s the first path swallows all that the client sends there.  What was written there is missing then
before what comes on the second path, until MPTCP sends it again.  Meanwhile some 800 octets of
memory wait for each piece.

The exit status is 1 if the connection stalls: if the server does not get all within 40 s after the
last write.  Then the queues and the memory of the sockets are printed.
"""

import ctypes
import os
import platform
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

IPPROTO_MPTCP = 262
CLONE_NEWNET = 0x40000000
COUNT, INTERVAL_S = 3000, 0.002
SILENT_AFTER_S, LIMIT_S = 2.0, 40.0
PORT = 5001
NOBODY = "02:00:00:00:00:99"  # a MAC address that no interface has: the frame is dropped


def ip(*words: str) -> None:
    """Run iproute2."""
    subprocess.run(("ip", *words), check=True)


def sysctl(name: str, value: str) -> None:
    """Set a sysctl of this network namespace."""
    Path("/proc/sys", *name.split(".")).write_text(value)


def addresses(end: int) -> None:
    """Bring this end of both pairs up: 1 is the client, 2 the server."""
    ip("link", "set", "lo", "up")
    for path in (1, 2):
        device = f"path{path}"
        ip("addr", "add", f"10.1.{path}.{end}/24", "dev", device)
        ip("link", "set", device, "up")
    ip("mptcp", "limits", "set", "subflow", "2", "add_addr_accepted", "2")


def server(ready: int, go: int, octets: int, memory: int) -> None:
    """Read all, and say how much; runs in a process and a network namespace of its own."""
    ctypes.CDLL(None).unshare(CLONE_NEWNET)
    os.write(ready, b".")
    os.read(go, 1)
    sysctl("net.ipv4.tcp_rmem", f"4096 {memory // 2} {memory}")
    addresses(2)
    ip("mptcp", "endpoint", "add", "10.1.2.2", "dev", "path2", "signal")
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP)
    listener.bind(("", PORT))
    listener.listen()
    os.write(ready, b".")
    connection, _ = listener.accept()
    got, wanted = 0, octets * COUNT

    def watch() -> None:
        time.sleep(COUNT * INTERVAL_S + LIMIT_S)
        print(f"STALLED: {got} of {wanted} octets came", flush=True)
        subprocess.run(("ss", "-Mtinme"), check=False)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    while got < wanted:
        got += len(connection.recv(2**16))
    print(f"all {got} octets came", flush=True)
    os._exit(0)


def client(octets: int) -> None:
    """Write small pieces at a fixed rate; in their course silence the first path."""
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.connect(("10.1.1.2", PORT))
    start, silent = time.monotonic(), False
    for number in range(COUNT):
        due = start + number * INTERVAL_S
        if not silent and due - start >= SILENT_AFTER_S:
            ip("neigh", "replace", "10.1.1.2", "lladdr", NOBODY, "dev", "path1", "nud", "permanent")
            silent = True
        time.sleep(max(0.0, due - time.monotonic()))
        connection.sendall(bytes(octets))
    time.sleep(LIMIT_S + 5)  # the connection stays open


def main() -> int:
    """Return 1 if the connection stalls."""
    octets, memory = (int(word) for word in (*sys.argv[1:], "10", "8192")[:2])
    (ready, said), (told, go) = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        server(said, told, octets, memory)
    os.read(ready, 1)
    for path in (1, 2):
        ip("link", "add", f"path{path}", "type", "veth", "peer", f"path{path}", "netns", str(child))
    addresses(1)
    os.write(go, b".")
    os.read(ready, 1)
    print(f"Linux {platform.release()}", flush=True)
    threading.Thread(target=client, args=(octets,), daemon=True).start()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    sys.exit(main())
