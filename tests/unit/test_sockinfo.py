"""What the kernel says of sockets, decoded for kernels older and newer than this one."""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed import sockinfo

Pair = tuple[socket.socket, socket.socket]


def joined(client: int, server: int) -> Pair:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, server) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        one = socket.socket(socket.AF_INET, socket.SOCK_STREAM, client)
        one.connect(listener.getsockname())
        other, _ = listener.accept()
    one.sendall(b"x" * 1000)
    assert other.recv(1000, socket.MSG_WAITALL) == b"x" * 1000
    other.sendall(b"y")
    assert one.recv(1) == b"y"
    return one, other


@pytest.fixture
def tcp() -> Iterator[Pair]:
    with (pair := joined(socket.IPPROTO_TCP, socket.IPPROTO_TCP))[0], pair[1]:
        yield pair


def mptcp_pair(server: int = sockinfo.IPPROTO_MPTCP) -> Pair:
    try:
        return joined(sockinfo.IPPROTO_MPTCP, server)
    except OSError as error:
        pytest.skip(f"no MPTCP here: {error}")


def test_tcp_info_of_a_connection(tcp):
    info = sockinfo.tcp_info(tcp[0])
    assert info["state"] == 1  # TCP_ESTABLISHED
    assert info["bytes_sent"] == info["bytes_acked"] - 1 == 1000  # the SYN is acknowledged too
    assert info["bytes_received"] == 1
    assert 0 <= info["snd_wscale"] <= 14
    assert info["rtt"] > 0


@given(size=st.integers(0, 400))
def test_a_kernel_that_knows_less_or_more_is_understood(size):
    data = bytes(range(1, 251)) * 2
    found = sockinfo.decode_tcp_info(data[:size])
    whole = sockinfo.decode_tcp_info(data)
    assert found == {name: whole[name] for name in found}
    assert ("rto" in found) == (size >= 12)
    assert ("pacing_rate" in found) == (size >= 112)
    assert ("total_rto_time" in found) == (size >= 248)
    assert ("snd_wscale" in found) == (size >= 8)


@given(size=st.integers(0, 200))
def test_so_is_mptcp_info(size):
    data = bytes(range(1, 201))
    found = sockinfo.decode_mptcp_info(data[:size])
    assert found.items() <= sockinfo.decode_mptcp_info(data).items()
    assert ("flags" in found) == (size >= 12)
    assert ("csum_enabled" in found) == (size >= 43)
    assert ("last_ack_recv" in found) == (size >= 96)


def test_the_places_of_fields_are_those_of_the_headers():
    data = bytearray(280)
    for offset, value in ((8, 200_000), (68, 12_345), (80, 10), (100, 7)):
        struct.pack_into("@I", data, offset, value)
    struct.pack_into("@Q", data, 200, 5_000_000_000)
    found = sockinfo.decode_tcp_info(bytes(data))
    assert found["rto"] == 200_000
    assert found["rtt"] == 12_345
    assert found["snd_cwnd"] == 10
    assert found["total_retrans"] == 7
    assert found["bytes_sent"] == 5_000_000_000


def test_mptcp_info_of_a_connection():
    client, server = mptcp_pair()
    with client, server:
        view = sockinfo.mptcp_info(client)
        assert not view.fallback
        assert view.info["bytes_sent"] == 1000
        assert view.info["token"] > 0
        (subflow,) = view.subflows
        host, port = client.getsockname()
        assert subflow.local == f"{host}:{port}"
        assert subflow.remote == sockinfo.address_text(client.getpeername())
        assert subflow.tcp["bytes_received"] > 0


def test_the_older_calls_say_the_same(monkeypatch):
    client, server = mptcp_pair()
    with client, server:
        at_once = sockinfo.mptcp_info(client)
        monkeypatch.setattr(sockinfo, "_MPTCP_FULL_INFO", 250)  # no kernel has it
        separate = sockinfo.mptcp_info(client)
        assert separate.info["token"] == at_once.info["token"]
        assert [each.remote for each in separate.subflows] == [
            each.remote for each in at_once.subflows
        ]
        assert separate.subflows[0].tcp.keys() == at_once.subflows[0].tcp.keys()


def older_kernel(states: list[int], size: int) -> Callable[..., bytes]:
    """Return a getsockopt(2) of a kernel whose tcp_info is shorter than ours.

    It writes elements of the smaller of both sizes, one right after the other
    (net/mptcp/sockopt.c).
    """
    infos = b"".join(bytes([state]).ljust(size, b"\xff") for state in states)

    def getsockopt(_sock: object, option: int, request: bytes, _room: int) -> bytes:
        if option == sockinfo._MPTCP_FULL_INFO:
            *_, addresses, tcp_infos = sockinfo._FULL_INFO.unpack(request)
            ends = 2 * bytes([socket.AF_INET]).ljust(128, b"\0")
            numbers = b"".join(
                sockinfo._SUBFLOW_INFO.pack(number, ends) for number in range(len(states))
            )
            ctypes.memmove(addresses, numbers, len(numbers))
            ctypes.memmove(tcp_infos, infos, len(infos))
            return sockinfo._FULL_INFO.pack(size, size, 0, 0, len(states), 0, 0, 0)
        return sockinfo._SUBFLOW_DATA.pack(16, len(states), size, size) + infos

    return getsockopt


def test_subflows_of_a_kernel_that_knows_less(monkeypatch):
    monkeypatch.setattr(sockinfo, "_getsockopt", older_kernel([1, 4, 8], 232))
    with socket.socket() as sock:
        _, subflows = sockinfo._full_info(sock)
        assert [one.tcp["state"] for one in subflows] == [1, 4, 8]
        assert {"snd_wnd", "rehash"} - subflows[2].tcp.keys() == {"rehash"}
        infos = sockinfo._array(sock, sockinfo._MPTCP_TCPINFO, sockinfo._TCP_INFO.size)
        assert [(info[0], len(info)) for info in infos] == [(1, 232), (4, 232), (8, 232)]


def test_a_fallback_to_tcp_is_seen():
    client, server = mptcp_pair(socket.IPPROTO_TCP)
    with client, server:
        view = sockinfo.mptcp_info(client)
        assert view.fallback
        assert view.subflows[0].tcp["bytes_sent"] == 1000


def test_a_tcp_socket_is_not_taken_for_a_fallback(tcp):
    assert not sockinfo.is_mptcp(tcp[0])
    with pytest.raises(OSError, match="not an MPTCP socket"):
        sockinfo.mptcp_info(tcp[0])


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (
            struct.pack("@H", socket.AF_INET)
            + struct.pack("!H", 80)
            + bytes([10, 0, 0, 1])
            + bytes(120),
            "10.0.0.1:80",
        ),
        (
            struct.pack("@H", socket.AF_INET6)
            + struct.pack("!H", 443)
            + bytes(4)
            + socket.inet_pton(socket.AF_INET6, "fd00::1")
            + bytes(104),
            "[fd00::1]:443",
        ),
        (
            struct.pack("@H", socket.AF_INET6)
            + struct.pack("!H", 443)
            + bytes(4)
            + socket.inet_pton(socket.AF_INET6, "::ffff:10.0.0.1")
            + bytes(104),
            "10.0.0.1:443",
        ),
    ],
)
def test_addresses_are_text(data, text):
    assert sockinfo.decode_sockaddr(data) == text
