"""The parser of packets: segments and ICMP errors."""

from __future__ import annotations

from typing import Final

from testbed.errors import InputError
from testbed.interchange.packetdrill.model import Ends, Icmp, Packet, Range, UnsupportedError
from testbed.interchange.packetdrill.options_grammar import read_options
from testbed.interchange.packetdrill.reader import Reader

_FLAGS: Final = frozenset("FSRPEW")
_LENGTH_BITS: Final = 20  # enough bits for the octets of any packet
_ECN: Final = ("noecn", "ect0", "ect1", "ect01", "ce")
_UNKNOWN_PROTOCOLS: Final = frozenset({"udp", "gre", "ipv4", "ipv6", "mpls"})


def read_packet(reader: Reader) -> Packet | Icmp:
    """Read a packet, from ``<`` or ``>`` on.

    :raises UnsupportedError: the packet is neither TCP nor ICMP.
    """
    line = reader.peek.line
    inbound = reader.next().text == "<"
    ip = _ip(reader)
    ends = _ends(reader)
    kind = reader.peek.text
    if kind in ("icmp", "icmpv6"):
        return _icmp(reader, line)
    if kind in _UNKNOWN_PROTOCOLS:
        raise UnsupportedError(f"packets of {kind}", line)
    flags = _flags(reader)
    ip = ip or _ip(reader)
    span = read_range(reader)
    ack = reader.number("a number") if reader.take("ack") else None
    window = reader.number("a window", 16) if reader.take("win") else None
    urgent = reader.number("a pointer", 16) if reader.take("urg") else None
    return Packet(
        line=line,
        inbound=inbound,
        flags=flags,
        range=span,
        ack=ack,
        window=window,
        urgent=urgent,
        options=read_options(reader) if reader.take("<") else (),
        ends=ends,
        ip=ip,
    )


def read_range(reader: Reader) -> Range:
    """Read ``start:end(length)``."""
    start = reader.number("sequence numbers, as 1:1001(1000),")
    reader.expect(":")
    end = reader.number("a sequence number")
    reader.expect("(")
    length = reader.number("a length", _LENGTH_BITS)
    last = reader.peek
    reader.expect(")")
    if (end - start) % (1 << 32) != length:
        raise InputError(
            f"{start}:{end}({length}) has another length between its numbers",
            file=reader.file,
            line=last.line,
        )
    return Range(start, end, length)


def _flags(reader: Reader) -> str:
    """Read letters and ``.`` for ACK; ``-`` means no flags."""
    token = reader.peek
    if reader.take("-"):
        return ""
    if token.kind in ("int", "float") or "A" in token.text:
        raise UnsupportedError("accurate ECN (RFC 9768)", token.line)
    letters = "" if token.text == "." else reader.word("flags, as S, P. or F.,")
    unknown = set(letters) - _FLAGS - {"U"}
    if unknown:
        raise reader.error("flags of FSRPUEW and .", token)
    if reader.take("."):
        letters += "."
    return letters


def _ip(reader: Reader) -> dict[str, object]:
    """Read the fields of the IP header in brackets."""
    said: dict[str, object] = {}
    if not reader.take("["):
        return said
    while not reader.take("]"):
        token = reader.next()
        if token.text in ("ttl", "tos"):
            said[token.text] = reader.number("a number", 8)
        elif token.text in _ECN:
            said["ecn"] = token.text
        elif token.text != ",":
            raise UnsupportedError(f"{token.text!r} of IP's header", token.line)
    return said


def _ends(reader: Reader) -> Ends:
    """Read ``addr[a] > addr[b]`` or ``> addr[b]``."""
    source = _address(reader)
    if not source and reader.peek.text != ">":
        return Ends()
    reader.expect(">")
    return Ends(source, _address(reader))


def _address(reader: Reader) -> str:
    if reader.peek.text != "addr":
        return ""
    reader.next()
    reader.expect("[")
    name = reader.word("the name of an address")
    reader.expect("]")
    return name


def _icmp(reader: Reader, line: int) -> Icmp:
    version = 6 if reader.next().text == "icmpv6" else 4
    kind = reader.word("a type of ICMP")
    code = reader.next().text if reader.peek.kind == "word" and reader.peek.text != "mtu" else ""
    mtu = reader.number("an MTU", 16) if reader.take("mtu") else 0
    about = None
    if reader.take("["):
        if reader.peek.kind == "word":
            raise UnsupportedError(f"ICMP about {reader.peek.text}", line)
        about = read_range(reader)
        reader.expect("]")
    return Icmp(line=line, version=version, type=kind, code=code, mtu=mtu, range=about)
