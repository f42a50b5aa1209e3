"""The effect of a program's setsockopt(2) and getsockopt(2) on the stack."""

from __future__ import annotations

import errno
import os
import socket
import struct

import pytest

from testbed import sockinfo
from testbed.programs import options
from testbed.programs.options import Options
from testbed.stack.options import SocketOptions

NODELAY = (socket.IPPROTO_TCP, socket.TCP_NODELAY)
INT = struct.Struct("=i")


@pytest.fixture
def tcp():
    return Options()


def fails(number, call, *arguments):
    with pytest.raises(OSError, match=os.strerror(number)):
        call(*arguments)


@pytest.mark.parametrize(
    ("level", "name", "value", "meant"),
    [
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1, SocketOptions(nodelay=True)),
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 0, SocketOptions(nodelay=False)),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 7, SocketOptions(keepalive_idle_ns=7 * 10**9)),
        (
            socket.IPPROTO_TCP,
            socket.TCP_USER_TIMEOUT,
            7,
            SocketOptions(user_timeout_ns=7 * 10**6),
        ),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1, SocketOptions(keepalive=True)),
        (socket.IPPROTO_IP, socket.IP_TOS, 0x10, SocketOptions(traffic_class=0x10)),
        (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, -1, SocketOptions()),
        (socket.SOL_SOCKET, socket.SO_REUSEADDR, 1, SocketOptions()),
    ],
)
def test_meaning(tcp, level, name, value, meant):
    assert tcp.set((level, name), INT.pack(value)) == meant
    assert tcp.of_stack == meant
    assert INT.unpack(tcp.get((level, name))) == (value,)


def test_linger_with_a_time_of_0_resets(tcp):
    assert not tcp.resets
    assert tcp.set(options.LINGER, struct.pack("=ii", 1, 0)) == SocketOptions(
        linger=True, linger_ns=0
    )
    assert tcp.resets
    assert tcp.get(options.LINGER) == struct.pack("=ii", 1, 0)
    tcp.set(options.LINGER, struct.pack("=ii", 1, 5))
    assert not tcp.resets


def test_linger_with_a_negative_time_waits_for_very_long_and_resets_nothing(tcp):
    """sk_setsockopt() of Linux reads l_linger as an unsigned number."""
    negative = struct.pack("=ii", 1, -1)
    found = tcp.set(options.LINGER, negative)
    assert found == SocketOptions(linger=True, linger_ns=(2**32 - 1) * 1_000_000_000)
    found.check()
    assert not tcp.resets
    assert tcp.of_stack == found
    assert tcp.get(options.LINGER) == negative


def test_buffers_are_told_twice_as_large(tcp):
    tcp.set((socket.SOL_SOCKET, socket.SO_SNDBUF), INT.pack(40_000))
    assert tcp.of_stack == SocketOptions(send_buffer=40_000)
    assert INT.unpack(tcp.get((socket.SOL_SOCKET, socket.SO_SNDBUF))) == (80_000,)


@pytest.mark.parametrize(
    ("name", "given", "octets"),
    [
        (socket.SO_SNDBUF, 0, 2304),  # half of SOCK_MIN_SNDBUF
        (socket.SO_RCVBUF, 1, 1152),
        (socket.SO_RCVBUF, -1, 4 * 2**20),  # the greatest size
    ],
)
def test_buffers_are_at_least_as_large_as_linux_makes_them(tcp, name, given, octets):
    tcp.set((socket.SOL_SOCKET, name), INT.pack(given))
    assert set(tcp.of_stack.given().values()) == {octets}
    assert INT.unpack(tcp.get((socket.SOL_SOCKET, name))) == (2 * octets,)


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        (socket.TCP_CORK, 1, SocketOptions(cork=True)),
        (socket.TCP_MAXSEG, 1000, SocketOptions(mss=1000)),
    ],
    ids=str,
)
def test_mptcp_is_told_of_cork_and_mss(tcp, name, value, meant):
    tcp.set((socket.IPPROTO_TCP, name), INT.pack(value))
    assert tcp.of_stack == meant
    tcp.of_stack.require_mptcp()


def test_congestion_control(tcp):
    assert tcp.congestion("cubic") == b"cubic".ljust(16, b"\0")
    tcp.set(options.CONGESTION, b"reno\0")
    assert tcp.congestion("cubic").strip(b"\0") == b"reno"
    assert tcp.of_stack == SocketOptions(congestion="reno")
    fails(errno.ENOENT, tcp.set, options.CONGESTION, b"no-such-control")


def test_bad_options(tcp):
    fails(errno.ENOPROTOOPT, tcp.set, (socket.IPPROTO_TCP, 4711), INT.pack(1))
    fails(errno.ENOPROTOOPT, tcp.get, (socket.IPPROTO_TCP, 4711))
    fails(errno.EINVAL, tcp.set, NODELAY, b"x")
    fails(errno.EINVAL, tcp.set, options.LINGER, b"x")
    fails(errno.EINVAL, tcp.set, options.MAXSEG, INT.pack(1))


def test_an_octet_will_do_for_options_of_ip(tcp):
    assert tcp.set((socket.IPPROTO_IP, socket.IP_TOS), b"\x10") == SocketOptions(traffic_class=16)


def test_an_accepted_socket_begins_with_the_options_of_the_one_that_listens(tcp):
    tcp.set(NODELAY, INT.pack(1))
    other = tcp.copy()
    tcp.set(NODELAY, INT.pack(0))
    assert other.of_stack == SocketOptions(nodelay=True)


def test_tcp_info_there_and_back():
    told = {"state": 1, "rtt": 20_000, "bytes_acked": 2**40, "snd_wscale": 7, "rcv_wscale": 10}
    told["delivery_rate_app_limited"] = 1
    seen = sockinfo.decode_tcp_info(sockinfo.encode_tcp_info(told))
    assert {name: value for name, value in seen.items() if value} == told


def test_what_does_not_fit_into_a_field_is_its_most():
    seen = sockinfo.decode_tcp_info(sockinfo.encode_tcp_info({"rtt": 2**40, "retransmits": 300}))
    assert (seen["rtt"], seen["retransmits"]) == (2**32 - 1, 255)


def test_mptcp_info_there_and_back():
    told = {"subflows": 1, "token": 0xDEADBEEF, "write_seq": 2**63}
    seen = sockinfo.decode_mptcp_info(sockinfo.encode_mptcp_info(told))
    assert {name: value for name, value in seen.items() if value} == told
