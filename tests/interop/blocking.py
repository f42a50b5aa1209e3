"""``python blocking.py ROLE ADDRESS``: the blocking socket class in a node."""

from __future__ import annotations

import errno
import socket
import sys

from testbed.host.socket import AF_INET, SOCK_STREAM, Socket, SocketOptions
from testbed.sockinfo import IPPROTO_MPTCP

PORT = 5001
MESSAGE = bytes(range(256)) * 1000


def receive(sock, octets):
    data = b""
    while len(data) < octets:
        piece = sock.recv(octets - len(data))
        if not piece:
            raise ConnectionError("too early")
        data += piece
    return data


def client(address, kind=Socket):
    with kind(AF_INET, SOCK_STREAM, IPPROTO_MPTCP) as sock:
        sock.settimeout(20)
        if kind is Socket:
            sock.set_options(SocketOptions(traffic_class=0x20))
        sock.connect((address, PORT))
        if kind is Socket:
            sock.set_options(SocketOptions(keepalive=True))
            assert sock.connection.config.tcp.traffic_class == 0x20
            assert sock.connection.config.tcp.keepalive
        assert sock.getpeername()[:2] == (address, PORT)
        sock.sendall(MESSAGE)
        sock.shutdown(socket.SHUT_WR)
        assert receive(sock, len(MESSAGE)) == MESSAGE[::-1]
        assert sock.recv(1) == b""


def server(address, kind=Socket):
    with kind(AF_INET, SOCK_STREAM, IPPROTO_MPTCP) as listener:
        listener.settimeout(20)
        listener.bind((address, PORT))
        listener.listen()
        print("ready", flush=True)
        sock, peer = listener.accept()
        with sock:
            sock.settimeout(20)
            assert sock.getpeername() == peer
            assert sock.getsockname()[1] == PORT
            data = receive(sock, len(MESSAGE))
            assert sock.recv(1) == b""
            sock.sendall(data[::-1])


def errors(address):
    """Our sockets raise the same errors as the kernel's; no host listens at the address."""
    with Socket() as sock:
        raises(errno.ENOTCONN, sock.recv, 1)
        raises(errno.ECONNREFUSED, sock.connect, (address, PORT))
    raises(errno.EBADF, sock.connect, (address, PORT))
    with Socket() as sock:  # no host has this address: the kernel cannot resolve it
        raises(errno.EHOSTUNREACH, sock.connect, (address.rpartition(".")[0] + ".77", PORT))
    raises(errno.EPROTONOSUPPORT, Socket, AF_INET, SOCK_STREAM, socket.IPPROTO_UDP)
    with Socket() as listener:
        listener.bind(("", 0))
        listener.listen()
        raises(errno.EADDRINUSE, occupy, listener.getsockname())
        listener.settimeout(0.2)
        try:
            listener.accept()
        except TimeoutError:
            return
        raise AssertionError("nobody called")


def occupy(where):
    with socket.socket() as sock:
        sock.bind(where)


def raises(number, call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        if error.errno != number:
            raise
        return
    raise AssertionError(f"{call} raised nothing")


match sys.argv[1]:
    case "client":
        client(sys.argv[2])
    case "server":
        server(sys.argv[2])
    case "kernel-client":
        client(sys.argv[2], socket.socket)
    case "kernel-server":
        server(sys.argv[2], socket.socket)
    case "errors":
        errors(sys.argv[2])
