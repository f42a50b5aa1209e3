"""An attempt to connect that cannot begin leaves no port behind."""

from __future__ import annotations

import errno
import socket
from types import SimpleNamespace

import pytest

from testbed.packet.address import Address
from testbed.programs.connecting import Connector
from testbed.programs.options import Options
from testbed.programs.sockets import Phase, Socket, Table
from tests.fakes import Ports

SERVER = Address("10.0.1.2", 80)


@pytest.fixture
def host():
    return Ports("10.0.1.1")


@pytest.fixture
def connector(host, monkeypatch):
    made = Connector(host, None, Table(host), None, None, None)

    def full(end):
        del end
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(made._rendezvous, "join", full)
    yield made
    made.close()


def test_its_port_is_known_and_let_go(connector, host):
    with socket.socket(socket.AF_UNIX) as end:
        sock = Socket(1, socket.AF_INET, socket.IPPROTO_TCP, Options())
        connector._table.add(sock)
        call = SimpleNamespace(socket=end.dup)
        for _ in range(2):
            with pytest.raises(OSError, match="Too many open files"):
                connector.connect(call, sock, SERVER)
            assert sock.phase is Phase.NEW
            assert sock.name == Address("10.0.1.1", 40000), "the second attempt uses it again"
        connector._table.remove(sock)
    assert host.held == []


@pytest.mark.parametrize("told", [False, True])
def test_a_result_is_told_once(told):
    sock = Socket(1, socket.AF_INET, socket.IPPROTO_TCP, Options())
    sock.begin(Address("10.0.1.1", 40000), SERVER, None)
    sock.conclude(errno.ECONNREFUSED, told=told)
    assert sock.phase is Phase.FAILED
    assert sock.tell() is not told
    assert sock.take_error() == (0 if told else errno.ECONNREFUSED)
    assert not sock.tell()
    assert sock.take_error() == 0
