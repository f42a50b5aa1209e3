"""``python asking.py < QUESTIONS``: what the kernel makes of addresses, inside of a sandbox.

It starts in one namespace of a sandbox and enters the others, whose descriptors it inherits.  A
socket stays in the namespace it was made in.
"""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from pyroute2.netlink.rtnl import RTM_GETROUTE
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from testbed.netlink.transport import Netlink
from testbed.sandbox import syscalls
from tests.netlink_messages import attributes, decode, encode

PORT: Final = 7000
LIMIT_S: Final = 20.0  # the wait for expected datagrams; only a fault uses all of it
TURN_S: Final = 0.05


class Packet(msgspec.Struct, frozen=True):
    """A datagram from an address of a node, perhaps bound to an interface, to another address."""

    node: str
    source: str
    destination: str
    interface: str = ""


class Hop(msgspec.Struct, frozen=True):
    """Where the kernel sends a packet; an empty interface: nowhere."""

    interface: str = ""
    gateway: str = ""


class Questions(msgspec.Struct, frozen=True, kw_only=True):
    """What to ask.

    :param namespaces: descriptors of the nodes' network namespaces.
    :param packets: to send, each with whether it is expected to arrive.
    """

    namespaces: dict[str, int]
    packets: tuple[tuple[Packet, bool], ...]


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it, in the order of the packets.

    :param arrived: the node at which each arrived; none: at no node.
    :param hops: where each would go, were its sender not bound to an interface.
    :param sources: what an unbound socket would take as its address; empty: no route.
    """

    arrived: tuple[str, ...]
    hops: tuple[Hop, ...]
    sources: tuple[str, ...]


def family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def bits(address: str) -> int:
    return 128 if ":" in address else 32


def udp(kind: int, address: str, port: int = 0, interface: str = "") -> socket.socket:
    found = socket.socket(kind, socket.SOCK_DGRAM)
    found.settimeout(0)
    if kind == socket.AF_INET6:
        found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if interface:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
    found.bind((address, port))
    return found


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as it:
        it.bind(("::", 0))
        return True
    return False


class Node:
    """The sockets of one node."""

    def __init__(self, namespace: int) -> None:
        self._namespace = namespace
        self.enter()
        kinds = [(socket.AF_INET, "0.0.0.0")] + [(socket.AF_INET6, "::")] * has_ipv6()
        self.receivers = [udp(kind, anywhere, PORT) for kind, anywhere in kinds]
        self._netlink = Netlink()
        self._senders: dict[tuple[str, str], socket.socket] = {}

    def enter(self) -> None:
        syscalls.setns(self._namespace)

    def send(self, packet: Packet, content: bytes) -> None:
        key = packet.source, packet.interface
        if key not in self._senders:
            self.enter()
            kind = family(packet.source)
            self._senders[key] = udp(kind, packet.source, interface=packet.interface)
        with contextlib.suppress(OSError):  # the node has no route
            self._senders[key].sendto(content, (packet.destination, PORT))

    def hop(self, packet: Packet) -> Hop:
        question = encode(
            rtmsg(),
            RTM_GETROUTE,
            family=family(packet.source),
            dst_len=bits(packet.source),
            src_len=bits(packet.source),
            attrs=[("RTA_DST", packet.destination), ("RTA_SRC", packet.source)],
        )
        self.enter()
        try:
            message = decode(rtmsg, self._netlink.get(question))
        except OSError:
            return Hop()
        attrs = attributes(message)
        if message["type"] != 1:  # RTN_UNICAST
            return Hop()
        interface = socket.if_indextoname(attrs["RTA_OIF"])
        return Hop(interface, attrs.get("RTA_GATEWAY", packet.destination))

    def source(self, destination: str) -> str:
        self.enter()
        with socket.socket(family(destination), socket.SOCK_DGRAM) as unbound:
            try:
                unbound.connect((destination, PORT))
            except OSError as error:
                if error.errno == errno.EAFNOSUPPORT:
                    raise
                return ""
            return str(unbound.getsockname()[0])


def received(nodes: dict[str, Node]) -> Iterator[tuple[int, str]]:
    """Yield the numbers of the packets that have arrived, and where."""
    of = {receiver: name for name, node in nodes.items() for receiver in node.receivers}
    while ready := select.select([*of], [], [], TURN_S)[0]:
        for receiver in ready:
            with contextlib.suppress(BlockingIOError):
                while True:
                    yield int(receiver.recv(64)), of[receiver]


def deliver(nodes: dict[str, Node], packets: Sequence[tuple[Packet, bool]]) -> dict[int, str]:
    """Send all again and again until all that are expected have arrived."""
    arrived: dict[int, str] = {}
    deadline = time.monotonic() + LIMIT_S
    expected = {number for number, (_, wanted) in enumerate(packets) if wanted}
    while True:
        over = expected <= arrived.keys() or time.monotonic() > deadline
        for number, (packet, _) in enumerate(packets):
            if number not in arrived:
                nodes[packet.node].send(packet, str(number).encode())
        arrived.update(received(nodes))
        if over:  # one more turn, in which an unexpected datagram might arrive
            return arrived


def main() -> None:
    questions = msgspec.json.decode(sys.stdin.buffer.read(), type=Questions)
    nodes = {name: Node(descriptor) for name, descriptor in questions.namespaces.items()}
    arrived = deliver(nodes, questions.packets)
    packets = [packet for packet, _ in questions.packets]
    answers = Answers(
        arrived=tuple(arrived.get(number, "") for number in range(len(packets))),
        hops=tuple(nodes[packet.node].hop(packet) for packet in packets),
        sources=tuple(nodes[packet.node].source(packet.destination) for packet in packets),
    )
    sys.stdout.buffer.write(msgspec.json.encode(answers))


if __name__ == "__main__":
    main()
