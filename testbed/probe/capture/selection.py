"""Selects the packets of a capture, by a classic BPF program (linux/filter.h).

Offsets count from the Ethernet header. The program does not parse IPv6 extension headers. Of an
IPv4 packet in fragments only the first fragment has a port.
"""

from __future__ import annotations

import ipaddress
from typing import Final

import msgspec

from testbed.errors import InputError
from testbed.host.devices.filters import Instruction

_LOAD_WORD, _LOAD_HALF, _LOAD_BYTE = 0x20, 0x28, 0x30
_LOAD_INDEXED_HALF: Final = 0x48  # at X + k
_LOAD_X_HEADER: Final = 0xB1  # X = 4 * (octet & 15): the length of an IPv4 header
_JUMP_EQUAL, _JUMP_SET, _JUMP = 0x15, 0x45, 0x05
_RETURN: Final = 0x06
_IPV4, _IPV6 = 0x0800, 0x86DD  # EtherTypes
_TYPE, _IPV4_PROTOCOL, _IPV6_PROTOCOL, _IPV4_FRAGMENT = 12, 23, 20, 20
_TCP, _UDP = 6, 17
_LATER_FRAGMENT: Final = 0x1FFF
_ADDRESSES: Final = {4: (26, 30), 6: (22, 38)}  # offsets of source and destination
_IPV6_PORTS: Final = 54

# The targets of a conditional jump: the next instruction, or one of the two ends.
_NEXT, _TAKE, _LEAVE = "next", "take", "leave"
_Step = tuple[int, str, str, int]  # code, target if true, target if false, k


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """The packets that a capture keeps. Without a host and a port, it keeps all.

    :param host: the source or destination address.
    :param port: the source or destination port of TCP or UDP.
    :param snaplen: how many octets to keep of a packet.
    """

    host: str | None = None
    port: int | None = None
    snaplen: int = 262_144

    def program(self) -> tuple[Instruction, ...]:
        """Return the BPF instructions.

        :raises InputError: the host is no address.
        """
        take: Instruction = (_RETURN, 0, 0, self.snaplen)
        if self.host is None and self.port is None:
            return (take,)
        versions = (4, 6) if self.host is None else (_version(self.host),)
        steps: list[Instruction] = []
        for version in versions:
            steps += _assembled(self._of(version), take)
        return (*steps, (_RETURN, 0, 0, 0))

    def _of(self, version: int) -> list[_Step]:
        """Return the steps for one version of IP. The last condition decides."""
        kind = _IPV4 if version == 4 else _IPV6
        steps: list[_Step] = [(_LOAD_HALF, "", "", _TYPE), (_JUMP_EQUAL, _NEXT, _LEAVE, kind)]
        if self.host is not None:
            steps += _with_address(self.host, version, last=self.port is None)
        if self.port is not None:
            steps += _with_port(self.port, version)
        return steps


def _version(host: str) -> int:
    try:
        return ipaddress.ip_address(host).version
    except ValueError:
        raise InputError(f"{host!r} is not an address", hint="write for example 10.0.1.1") from None


def _with_address(host: str, version: int, *, last: bool) -> list[_Step]:
    """Return steps that compare first the source and then the destination, word by word."""
    octets = ipaddress.ip_address(host).packed
    words = [int.from_bytes(octets[at : at + 4], "big") for at in range(0, len(octets), 4)]
    source, destination = _ADDRESSES[version]
    size = 2 * len(words)
    steps: list[_Step] = []
    for index, word in enumerate(words):
        final = index == len(words) - 1
        # After a match of the source's last word, skip the destination's steps.
        found = (_TAKE if last else f"+{size + 1}") if final else _NEXT
        missed = f"+{size - 2 * index - 1}"
        steps += [
            (_LOAD_WORD, "", "", source + 4 * index),
            (_JUMP_EQUAL, found, missed, word),
        ]
    for index, word in enumerate(words):
        found = _TAKE if last and index == len(words) - 1 else _NEXT
        steps += [
            (_LOAD_WORD, "", "", destination + 4 * index),
            (_JUMP_EQUAL, found, _LEAVE, word),
        ]
    return steps


def _with_port(port: int, version: int) -> list[_Step]:
    if version == 6:
        return [
            (_LOAD_BYTE, "", "", _IPV6_PROTOCOL),
            (_JUMP_EQUAL, "+2", _NEXT, _TCP),
            (_JUMP_EQUAL, _NEXT, _LEAVE, _UDP),
            (_LOAD_HALF, "", "", _IPV6_PORTS),
            (_JUMP_EQUAL, _TAKE, _NEXT, port),
            (_LOAD_HALF, "", "", _IPV6_PORTS + 2),
            (_JUMP_EQUAL, _TAKE, _LEAVE, port),
        ]
    return [
        (_LOAD_BYTE, "", "", _IPV4_PROTOCOL),
        (_JUMP_EQUAL, "+2", _NEXT, _TCP),
        (_JUMP_EQUAL, _NEXT, _LEAVE, _UDP),
        (_LOAD_HALF, "", "", _IPV4_FRAGMENT),
        (_JUMP_SET, _LEAVE, _NEXT, _LATER_FRAGMENT),
        (_LOAD_X_HEADER, "", "", 14),
        (_LOAD_INDEXED_HALF, "", "", 14),
        (_JUMP_EQUAL, _TAKE, _NEXT, port),
        (_LOAD_INDEXED_HALF, "", "", 16),
        (_JUMP_EQUAL, _TAKE, _LEAVE, port),
    ]


def _assembled(steps: list[_Step], take: Instruction) -> list[Instruction]:
    """Return instructions with ``take`` at the end. A leave jumps behind it."""
    end = len(steps)

    def distance(at: int, target: str) -> int:
        if target == _TAKE:
            return end - at - 1
        if target == _LEAVE:
            return end - at
        return 0 if target in (_NEXT, "") else int(target) - 1

    found: list[Instruction] = [
        (code, distance(at, yes), distance(at, no), k)
        for at, (code, yes, no, k) in enumerate(steps)
    ]
    return [*found, take]
