"""Describes packets similarly to tcpdump(8), with every option of MPTCP."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime
from typing import Final

from testbed.errors import PacketError
from testbed.packet import codec
from testbed.probe.capture.ring import Packet

_HEADER: Final = 14  # octets of the Ethernet header
_NAMES: Final = {0x0800: "IPv4", 0x86DD: "IPv6", 0x0806: "ARP", 0x8100: "VLAN"}
_PROTOCOLS: Final = {1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6"}


def describe(packet: Packet, interface: str) -> str:
    """Return one line about a packet."""
    moment = datetime.fromtimestamp(packet.time_ns // 10**9, UTC).astimezone()
    clock = f"{moment:%H:%M:%S}.{packet.time_ns % 10**9 // 1000:06d}"
    way = "out" if packet.outgoing else "in"
    return f"{clock} {interface} {way} {_content(packet)}"


def _content(packet: Packet) -> str:
    kind = int.from_bytes(packet.data[12:_HEADER], "big")
    body = packet.data[_HEADER:]
    name = _NAMES.get(kind, f"EtherType {kind:#06x}")
    if name not in ("IPv4", "IPv6"):
        return f"{name}, {packet.length} octets"
    try:
        return str(codec.parse(body, verify=False))
    except PacketError:
        return f"{name}{_between(name, body)}, {packet.length} octets"


def _between(name: str, body: bytes) -> str:
    """Return the protocol and the addresses of a packet that is not TCP, or is truncated."""
    at, size, protocol = (12, 4, 9) if name == "IPv4" else (8, 16, 6)
    if len(body) < at + 2 * size:
        return ""
    source, destination = (
        ipaddress.ip_address(body[start : start + size]) for start in (at, at + size)
    )
    carried = _PROTOCOLS.get(body[protocol], f"protocol {body[protocol]}")
    return f" {carried} {source} > {destination}"
