"""Classic BPF programs for sockets (socket(7), SO_ATTACH_FILTER; linux/filter.h).

They need no privilege, unlike eBPF. Offsets count from the start of a frame: the Ethernet header,
or the IP packet on links without one.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from typing import Final

from testbed import libc
from testbed.host.devices.frames import ETHERNET_HEADER

BLOCK: Final = 64  # ports; a filter passes whole blocks, so it changes rarely

_INSTRUCTION: Final = struct.Struct("=HBBI")  # struct sock_filter: code, jt, jf, k
_LOAD_BYTE, _LOAD_HALF, _LOAD_WORD = 0x30, 0x28, 0x20
_LOAD_INDEXED_BYTE, _LOAD_INDEXED_HALF = 0x50, 0x48  # at X + k
_LOAD_X_HEADER: Final = 0xB1  # X = 4 * (octet & 15): the length of an IPv4 header
_AND: Final = 0x54
_JUMP_EQUAL, _JUMP_GREATER, _JUMP_SET = 0x15, 0x25, 0x45
_RETURN: Final = 0x06
_WHOLE: Final = 0xFFFF_FFFF
_PACKET_TYPE: Final = 0xFFFF_F004  # SKF_AD_OFF + SKF_AD_PKTTYPE
_PACKET_HOST: Final = 0
_LINK_TYPE: Final = 0xFFFF_F01C  # SKF_AD_OFF + SKF_AD_HATYPE
_TCP, _ICMP, _ICMPV6 = 6, 1, 58
_UNREACHABLE, _TIME_EXCEEDED, _LAST_ICMPV6_ERROR = 3, 11, 127
_FRAGMENT: Final = 0x3FFF  # MF flag and fragment offset

Instruction = tuple[int, int, int, int]
_ACCEPT: Final[Instruction] = (_RETURN, 0, 0, _WHOLE)
_REJECT: Final[Instruction] = (_RETURN, 0, 0, 0)
NOTHING: Final = (_REJECT,)


def block_of(port: int) -> int:
    """Return the first port of the block of a port."""
    return port & -BLOCK


def on_links(types: Iterable[int], program: Iterable[Instruction]) -> tuple[Instruction, ...]:
    """Return a filter that restricts another one to interfaces of some types.

    :param types: ``ARPHRD_*`` of linux/if_arp.h.
    """
    wanted = tuple(types)
    known = tuple((_JUMP_EQUAL, len(wanted) - index, 0, kind) for index, kind in enumerate(wanted))
    return ((_LOAD_WORD, 0, 0, _LINK_TYPE), *known, _REJECT, *program)


def segments_to(
    family: socket.AddressFamily, blocks: Iterable[int], link: int = ETHERNET_HEADER
) -> tuple[Instruction, ...]:
    """Return a filter for ICMP errors and for TCP segments to this host and these port blocks.

    It does not pass fragments or IPv6 packets with extension headers.

    :param link: the size of the link header in octets.
    """
    wanted = tuple(
        instruction
        for block in sorted(blocks)
        for instruction in ((_JUMP_EQUAL, 0, 1, block), _ACCEPT)
    )
    start = _port_ipv6(link) if family == socket.AF_INET6 else _port_ipv4(link)
    return (*start, (_AND, 0, 0, 0x10000 - BLOCK), *wanted, _REJECT)


def _require(jump: int, value: int) -> tuple[Instruction, ...]:
    """Go on if the comparison holds."""
    return ((jump, 1, 0, value), _REJECT)


def _refuse(jump: int, value: int) -> tuple[Instruction, ...]:
    """Go on if the comparison does not hold."""
    return ((jump, 0, 1, value), _REJECT)


_TO_US: Final = ((_LOAD_BYTE, 0, 0, _PACKET_TYPE), *_require(_JUMP_EQUAL, _PACKET_HOST))


def _port_ipv4(link: int) -> tuple[Instruction, ...]:
    """Go on with the destination port in the accumulator."""
    errors = (
        *_require(_JUMP_EQUAL, _ICMP),
        (_LOAD_INDEXED_BYTE, 0, 0, link),
        (_JUMP_EQUAL, 2, 0, _UNREACHABLE),
        *_require(_JUMP_EQUAL, _TIME_EXCEEDED),
        _ACCEPT,
    )
    return (
        *_TO_US,
        (_LOAD_HALF, 0, 0, link + 6),
        *_refuse(_JUMP_SET, _FRAGMENT),
        (_LOAD_X_HEADER, 0, 0, link),
        (_LOAD_BYTE, 0, 0, link + 9),
        (_JUMP_EQUAL, len(errors), 0, _TCP),
        *errors,
        (_LOAD_INDEXED_HALF, 0, 0, link + 2),
    )


def _port_ipv6(link: int) -> tuple[Instruction, ...]:
    """Go on with the destination port in the accumulator."""
    errors = (
        *_require(_JUMP_EQUAL, _ICMPV6),
        (_LOAD_BYTE, 0, 0, link + 40),
        *_refuse(_JUMP_GREATER, _LAST_ICMPV6_ERROR),
        _ACCEPT,
    )
    return (
        *_TO_US,
        (_LOAD_BYTE, 0, 0, link + 6),
        (_JUMP_EQUAL, len(errors), 0, _TCP),
        *errors,
        (_LOAD_HALF, 0, 0, link + 42),
    )


def attach(sock: socket.socket, program: Iterable[Instruction]) -> None:
    """Attach a program to a socket, which then receives only the passed frames."""
    code = b"".join(_INSTRUCTION.pack(*each) for each in program)
    libc.attach_filter(sock, code, len(code) // _INSTRUCTION.size)
