"""The kernel's information about a TCP or MPTCP socket: TCP_INFO, MPTCP_INFO and the subflows.

The kernel's structures grow at their end from version to version, and a call returns the part that
both sides know. So every decoder returns a mapping of the existing fields, by the kernel's names
without their prefix. This kernel does not have the missing fields.

Sources: ``include/uapi/linux/tcp.h``, ``include/uapi/linux/mptcp.h``,
``Documentation/networking/mptcp.rst``.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

IPPROTO_MPTCP: Final = 262
_SOL_MPTCP: Final = 284
_MPTCP_INFO: Final = 1
_MPTCP_TCPINFO: Final = 2
_MPTCP_SUBFLOW_ADDRS: Final = 3
_MPTCP_FULL_INFO: Final = 4  # since 6.5: the three above in one call, as one snapshot
_MAX_SUBFLOWS: Final = 16  # 1 + 8 by the in-kernel path manager, maybe more by a userspace one

_FLAG_FALLBACK: Final = 1
_REFUSED: Final = (errno.EOPNOTSUPP, errno.ENOPROTOOPT)


class Layout:
    """A C structure of unsigned integers to which later kernels may add fields.

    :param fields: ``name:code`` separated by blanks, with the codes of :mod:`struct`.
    """

    def __init__(self, fields: str) -> None:
        names, codes = zip(*(field.split(":") for field in fields.split()), strict=True)
        self._names: tuple[str, ...] = names
        self._struct = struct.Struct("@" + "".join(codes))
        self._ends = tuple(
            struct.calcsize("@" + "".join(codes[: count + 1])) for count in range(len(codes))
        )
        self._most = tuple(256 ** struct.calcsize(code) - 1 for code in codes)
        self.size = self._struct.size

    def encode(self, values: Mapping[str, int]) -> bytes:
        """Return the structure with these fields, each cut to its size, and 0 in the others."""
        return self._struct.pack(
            *(
                min(max(0, values.get(name, 0)), most)
                for name, most in zip(self._names, self._most, strict=True)
            )
        )

    def decode(self, data: bytes) -> dict[str, int]:
        """Return the fields that lie wholly within ``data``, however long or short it is."""
        values = self._struct.unpack(data[: self.size].ljust(self.size, b"\0"))
        return {
            name: value
            for name, value, end in zip(self._names, values, self._ends, strict=True)
            if end <= len(data)
        }


_TCP_INFO: Final = Layout(
    "state:B ca_state:B retransmits:B probes:B backoff:B options:B wscale:B app_limited:B "
    "rto:I ato:I snd_mss:I rcv_mss:I "
    "unacked:I sacked:I lost:I retrans:I fackets:I "
    "last_data_sent:I last_ack_sent:I last_data_recv:I last_ack_recv:I "
    "pmtu:I rcv_ssthresh:I rtt:I rttvar:I snd_ssthresh:I snd_cwnd:I advmss:I reordering:I "
    "rcv_rtt:I rcv_space:I total_retrans:I "
    "pacing_rate:Q max_pacing_rate:Q bytes_acked:Q bytes_received:Q segs_out:I segs_in:I "
    "notsent_bytes:I min_rtt:I data_segs_in:I data_segs_out:I delivery_rate:Q "
    "busy_time:Q rwnd_limited:Q sndbuf_limited:Q delivered:I delivered_ce:I "
    "bytes_sent:Q bytes_retrans:Q dsack_dups:I reord_seen:I rcv_ooopack:I "
    "snd_wnd:I rcv_wnd:I rehash:I total_rto:H total_rto_recoveries:H total_rto_time:I "
    "received_ce:I delivered_e1_bytes:I delivered_e0_bytes:I delivered_ce_bytes:I "
    "received_e1_bytes:I received_e0_bytes:I received_ce_bytes:I"
)
_MPTCP: Final = Layout(
    "subflows:B add_addr_signal:B add_addr_accepted:B subflows_max:B add_addr_signal_max:B "
    "add_addr_accepted_max:B flags:I token:I write_seq:Q snd_una:Q rcv_nxt:Q "
    "local_addr_used:B local_addr_max:B csum_enabled:B retransmits:I bytes_retrans:Q "
    "bytes_sent:Q bytes_received:Q bytes_acked:Q subflows_total:B "
    "last_data_sent:I last_data_recv:I last_ack_recv:I"
)
# struct mptcp_subflow_data: its own size, number of subflows, the kernel's and our element size.
_SUBFLOW_DATA: Final = struct.Struct("@IIII")
SOCKADDR_STORAGE: Final = 128
_SUBFLOW_ADDRS: Final = 2 * SOCKADDR_STORAGE
_SUBFLOW_INFO: Final = struct.Struct(f"@I4x{_SUBFLOW_ADDRS}s")  # struct mptcp_subflow_info
# struct mptcp_full_info up to its mptcp_info: sizes of elements (kernel, user) of tcp_info and
# subflow_info, number of subflows, capacity of the arrays, and the two arrays' addresses.
_FULL_INFO: Final = struct.Struct("@IIIIIIQQ")

_libc = ctypes.CDLL(None, use_errno=True)


class Subflow(msgspec.Struct, frozen=True, kw_only=True):
    """One subflow. ``id`` is its number in order of creation, if the kernel reports it (6.5)."""

    id: int | None
    local: str  # "10.0.1.1:5001", "[fd00::1]:5001"
    remote: str
    tcp: dict[str, int]


class MptcpInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The state of an MPTCP socket.

    :param fallback: whether the connection continues as plain TCP (RFC 8684, section 3.7).
    :param info: MPTCP_INFO; empty if the kernel refuses it after a fallback.
    """

    fallback: bool
    info: dict[str, int]
    subflows: tuple[Subflow, ...]


def is_mptcp(sock: socket.socket) -> bool:
    """Return whether a stream socket was created with IPPROTO_MPTCP."""
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL) == IPPROTO_MPTCP


def tcp_info(sock: socket.socket) -> dict[str, int]:
    """Return TCP_INFO (tcp(7)), that of the first subflow for an MPTCP socket.

    Times are in microseconds, but ``last_*`` and ``total_rto_time`` in milliseconds; rates are in
    octets per second.

    :raises OSError: the socket is no TCP socket.
    """
    return decode_tcp_info(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 512))


def decode_tcp_info(data: bytes) -> dict[str, int]:
    """Decode ``struct tcp_info``. Each bit field becomes a separate field."""
    fields = _TCP_INFO.decode(data)
    scales, flags = fields.pop("wscale", None), fields.pop("app_limited", None)
    if scales is not None and flags is not None:
        low, high = scales & 15, scales >> 4
        little = sys.byteorder == "little"  # the ABI fills bit fields from the low end
        fields["snd_wscale"], fields["rcv_wscale"] = (low, high) if little else (high, low)
        fields["delivery_rate_app_limited"] = flags & 1 if little else flags >> 7
    return fields


def encode_tcp_info(fields: Mapping[str, int]) -> bytes:
    """Return ``struct tcp_info`` from fields as :func:`decode_tcp_info` returns them."""
    low, high = fields.get("snd_wscale", 0), fields.get("rcv_wscale", 0)
    limited = bool(fields.get("delivery_rate_app_limited"))
    little = sys.byteorder == "little"
    scales = low | high << 4 if little else low << 4 | high
    return _TCP_INFO.encode(
        {**fields, "wscale": scales, "app_limited": limited if little else limited << 7}
    )


def encode_mptcp_info(fields: Mapping[str, int]) -> bytes:
    """Return ``struct mptcp_info`` from its fields."""
    return _MPTCP.encode(fields)


def decode_mptcp_info(data: bytes) -> dict[str, int]:
    """Decode ``struct mptcp_info``."""
    return _MPTCP.decode(data)


def mptcp_info(sock: socket.socket) -> MptcpInfo:
    """Return all information of the kernel (5.16 or later) about a connected MPTCP socket.

    After a fallback the kernel refuses the socket options of MPTCP, as for a plain TCP socket. So
    this function checks the protocol of the socket. If such a connection is closed, the kernel has
    no peer address either. Then the result has no subflows.

    :raises OSError: the socket is no MPTCP socket, or not connected.
    """
    for read in (_full_info, _separate_infos):
        try:
            info, subflows = read(sock)
        except OSError as error:
            if error.errno not in _REFUSED:
                raise
        else:
            fallback = bool(info["flags"] & _FLAG_FALLBACK)
            return MptcpInfo(fallback=fallback, info=info, subflows=subflows)
    if not is_mptcp(sock):
        raise OSError(errno.EOPNOTSUPP, "not an MPTCP socket")
    return MptcpInfo(fallback=True, info={}, subflows=tuple(_fallen_back(sock)))


def _fallen_back(sock: socket.socket) -> Iterator[Subflow]:
    """Yield the only subflow of a connection that fell back, unless it is closed."""
    try:
        remote = sock.getpeername()
    except OSError as error:
        if error.errno != errno.ENOTCONN:
            raise
        return
    yield Subflow(
        id=None,
        local=address_text(sock.getsockname()),
        remote=address_text(remote),
        tcp=tcp_info(sock),
    )


def _full_info(sock: socket.socket) -> tuple[dict[str, int], tuple[Subflow, ...]]:
    tcp_infos = ctypes.create_string_buffer(_MAX_SUBFLOWS * _TCP_INFO.size)
    addresses = ctypes.create_string_buffer(_MAX_SUBFLOWS * _SUBFLOW_INFO.size)
    request = _FULL_INFO.pack(
        0,
        _TCP_INFO.size,
        0,
        _SUBFLOW_INFO.size,
        0,
        _MAX_SUBFLOWS,
        ctypes.addressof(addresses),
        ctypes.addressof(tcp_infos),
    )
    answer = _getsockopt(sock, _MPTCP_FULL_INFO, request, _FULL_INFO.size + _MPTCP.size)
    kernel_size, _, _, _, count, _, _, _ = _FULL_INFO.unpack_from(answer)
    size = min(kernel_size, _TCP_INFO.size)  # elements of the smaller size, without gaps
    subflows = []
    for index in range(min(count, _MAX_SUBFLOWS)):
        number, pair = _SUBFLOW_INFO.unpack_from(addresses, index * _SUBFLOW_INFO.size)
        start = index * size
        subflows.append(_subflow(number, pair, tcp_infos.raw[start : start + size]))
    return decode_mptcp_info(answer[_FULL_INFO.size :]), tuple(subflows)


def _separate_infos(sock: socket.socket) -> tuple[dict[str, int], tuple[Subflow, ...]]:
    info = decode_mptcp_info(sock.getsockopt(_SOL_MPTCP, _MPTCP_INFO, _MPTCP.size))
    tcp_infos = _array(sock, _MPTCP_TCPINFO, _TCP_INFO.size)
    pairs = _array(sock, _MPTCP_SUBFLOW_ADDRS, _SUBFLOW_ADDRS)
    # A subflow may be created or closed between the two calls; both use the same order.
    both = zip(pairs, tcp_infos, strict=False)
    return info, tuple(_subflow(None, pair, tcp) for pair, tcp in both)


def _array(sock: socket.socket, option: int, size: int) -> list[bytes]:
    """Return one element per subflow of MPTCP_TCPINFO or MPTCP_SUBFLOW_ADDRS."""
    request = _SUBFLOW_DATA.pack(_SUBFLOW_DATA.size, 0, 0, size)
    answer = _getsockopt(sock, option, request, _SUBFLOW_DATA.size + _MAX_SUBFLOWS * size)
    _, count, kernel_size, _ = _SUBFLOW_DATA.unpack_from(answer)
    stride = min(size, kernel_size)
    starts = (_SUBFLOW_DATA.size + index * stride for index in range(min(count, _MAX_SUBFLOWS)))
    return [answer[start : start + stride] for start in starts]


def _getsockopt(sock: socket.socket, option: int, request: bytes, size: int) -> bytes:
    """Call getsockopt(2) with a request in the buffer, which :mod:`socket` does not support."""
    buffer = ctypes.create_string_buffer(request, size)
    length = ctypes.c_uint32(size)
    if _libc.getsockopt(sock.fileno(), _SOL_MPTCP, option, buffer, ctypes.byref(length)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return buffer.raw[: length.value]


def _subflow(number: int | None, pair: bytes, tcp: bytes) -> Subflow:
    local, remote = pair[:SOCKADDR_STORAGE], pair[SOCKADDR_STORAGE:]
    return Subflow(
        id=number,
        local=decode_sockaddr(local),
        remote=decode_sockaddr(remote),
        tcp=decode_tcp_info(tcp),
    )


def decode_sockaddr(data: bytes) -> str:
    """Return a ``struct sockaddr_in`` or ``sockaddr_in6`` as ``address:port``."""
    (family,) = struct.unpack_from("@H", data)
    (port,) = struct.unpack_from("!H", data, 2)
    start, end = (4, 8) if family == socket.AF_INET else (8, 24)
    return address_text((socket.inet_ntop(family, data[start:end]), port))


def address_text(address: tuple[Any, ...]) -> str:
    """Return a socket's address as text. An IPv4-mapped IPv6 address becomes an IPv4 address."""
    host, port = address[:2]
    host = host.removeprefix("::ffff:")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
