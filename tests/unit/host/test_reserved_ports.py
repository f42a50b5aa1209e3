"""Ports shared with the kernel: the first user gets them."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import socket

import pytest

from testbed.host.devices import filters
from testbed.host.devices.ports import Ports, is_heard


@pytest.fixture
def ports():
    # Other processes that run these tests at the same time look for other ports.
    with contextlib.closing(Ports(random.Random(os.getpid()))) as ports:
        yield ports


def listener(port):
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(("127.0.0.1", port))
        sock.listen()
    except OSError:
        sock.close()
        raise
    return sock


def test_the_kernel_does_not_give_a_reserved_port_to_others(ports):
    port = ports.take()
    assert port in ports
    with pytest.raises(OSError, match="in use"):
        listener(port)
    ports.let_go(port)
    assert not ports.sweep(lambda _: False)
    assert port not in ports
    listener(port).close()


def test_a_port_of_the_kernel_is_not_reserved(ports):
    with listener(0) as sock:
        port = sock.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            ports.hold(port)
        assert port not in ports


def test_a_port_is_kept_until_its_last_user_has_let_go(ports):
    port = ports.take()
    ports.hold(port)
    ports.let_go(port)
    ports.sweep(lambda _: False)
    assert port in ports
    ports.let_go(port)
    ports.sweep(lambda _: False)
    assert port not in ports


def test_a_port_is_kept_while_a_connection_may_answer_on_it(ports):
    port = ports.take()
    ports.let_go(port)
    assert ports.sweep(lambda asked: asked == port)
    assert port in ports
    ports.hold(port)  # somebody wants it again
    assert not ports.sweep(lambda _: False)
    assert port in ports


def test_the_ports_of_many_clients_lie_in_few_blocks(ports):
    taken = {ports.take() for _ in range(200)}
    assert len(taken) == 200
    assert len(ports.blocks) < 200 / filters.BLOCK * 3


def test_a_client_that_calls_a_reserved_port_hears_nothing(ports):
    """No RST: the filter drops its SYN before the listening socket sees it."""
    port = ports.take()
    with socket.socket() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)
        client.settimeout(0)
        assert client.connect_ex(("127.0.0.1", port)) == errno.EINPROGRESS
        # A RST would come before connect_ex returns: loopback delivers at once.
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
)
def test_who_listens_is_heard_and_who_is_only_bound_is_not(family, host):
    with socket.socket(family) as sock:
        sock.bind((host, 0))
        port = sock.getsockname()[1]
        assert not is_heard(port)
        sock.listen()
        assert is_heard(port)


def test_a_port_that_is_held_is_heard(ports):
    assert is_heard(ports.take())
