"""What sockets do over our stack, seen by a program: ``python checks.py ADDRESS PORT [NAME ...]``.

Each check is a function; it gets the address of the peer (``peer.py``).  Everything that one
asserts here holds of the kernel's TCP, too: run without our stack, the checks pass as well.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import errno
import os
import select
import signal
import socket
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable

CHECKS: dict[str, Callable[[str, int], None]] = {}
ESTABLISHED = 1  # TCP_ESTABLISHED of net/tcp_states.h
TCP_ULP = 31
RESET = struct.pack("ii", 1, 0)


def check(function: Callable[[str, int], None]) -> Callable[[str, int], None]:
    CHECKS[function.__name__] = function
    return function


def fails(number: int, call: Callable[..., object], *arguments: object) -> None:
    found: int | None = 0
    try:
        call(*arguments)
    except OSError as error:
        found = error.errno
    assert found == number, f"{found} instead of {errno.errorcode[number]}"


def family_of(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def new(host: str) -> socket.socket:
    sock = socket.socket(family_of(host), socket.SOCK_STREAM)
    sock.settimeout(20)
    return sock


def connected(host: str, port: int) -> socket.socket:
    sock = new(host)
    sock.connect((host, port))
    return sock


def events(sock: socket.socket, wanted: int, seconds: float = 20) -> int:
    poll = select.poll()
    poll.register(sock, wanted)
    return sum(found for _, found in poll.poll(seconds * 1000))


@check
def blocking_echo(host: str, port: int) -> None:
    sock = socket.socket(family_of(host), socket.SOCK_STREAM)
    sock.connect((host, port))
    sock.sendall(b"hello")
    assert sock.recv(5, socket.MSG_PEEK | socket.MSG_WAITALL) == b"hello"
    assert sock.recv(5, socket.MSG_WAITALL) == b"hello"
    assert sock.getpeername()[:2] == (host, port)
    assert sock.getsockname()[1] > 0
    sock.shutdown(socket.SHUT_WR)
    assert sock.recv(1) == b""
    sock.close()


@check
def refused(host: str, port: int) -> None:
    sock = new(host)
    sock.settimeout(None)
    fails(errno.ECONNREFUSED, sock.connect, (host, port + 99))
    fails(errno.ECONNREFUSED, new(host).connect, ("::1" if ":" in host else "127.0.0.1", 1))
    sock.connect((host, port))  # the same socket again
    sock.sendall(b"x")
    assert sock.recv(1) == b"x"


@check
def unreachable(host: str, port: int) -> None:
    other = "2001:db8::1" if ":" in host else "203.0.113.1"
    fails(errno.ENETUNREACH, new(host).connect, (other, port))


@check
def without_connection(host: str, port: int) -> None:
    sock = new(host)
    fails(errno.ENOTCONN, sock.getpeername)
    fails(errno.ENOTCONN, sock.shutdown, socket.SHUT_WR)
    assert sock.getsockname()[1] == 0
    fails(errno.EAFNOSUPPORT, raw_connect, sock, struct.pack("=H14x", 99))
    assert sock.type == socket.SOCK_STREAM
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN) == family_of(host)


def raw_connect(sock: socket.socket, address: bytes) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.connect(sock.fileno(), address, len(address)) < 0:
        raise OSError(ctypes.get_errno(), "connect")


@check
def nonblocking(host: str, port: int) -> None:
    sock = new(host)
    sock.settimeout(0)
    epoll = select.epoll()
    epoll.register(sock, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)
    assert sock.connect_ex((host, port)) == errno.EINPROGRESS
    assert events(sock, select.POLLOUT) == select.POLLOUT
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    assert sock.connect_ex((host, port)) == 0
    assert sock.connect_ex((host, port)) == errno.EISCONN
    assert [found & select.EPOLLOUT for _, found in epoll.poll(20)] == [select.EPOLLOUT]
    fails(errno.EAGAIN, sock.recv, 1)
    sock.send(b"x")
    assert events(sock, select.POLLIN) == select.POLLIN
    assert sock.recv(2) == b"x"


@check
def nonblocking_refused(host: str, port: int) -> None:
    sock = new(host)
    sock.settimeout(0)
    assert sock.connect_ex((host, port + 99)) in (errno.EINPROGRESS, errno.ECONNREFUSED)
    assert events(sock, select.POLLOUT) & select.POLLERR
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    assert sock.connect_ex((host, port)) == errno.ECONNABORTED
    assert sock.connect_ex((host, port)) == errno.EINPROGRESS
    assert events(sock, select.POLLOUT) == select.POLLOUT


@check
def peer_resets(host: str, port: int) -> None:
    sock = connected(host, port + 1)
    sock.sendall(b"x")
    fails(errno.ECONNRESET, sock.recv, 1)


@check
def peer_resets_after_half_close(host: str, port: int) -> None:
    sock = connected(host, port + 3)
    assert sock.recv(1) == b"x"
    sock.shutdown(socket.SHUT_WR)
    fails(errno.ECONNRESET, sock.recv, 1)


@check
def half_close(host: str, port: int) -> None:
    sock = connected(host, port + 2)
    total = 700_000
    sock.sendall(bytes(total))
    sock.shutdown(socket.SHUT_WR)
    fails(errno.EPIPE, sock.send, b"x")
    answer = b""
    while data := sock.recv(100):
        answer += data
    assert answer == str(total).encode(), answer
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN) == family_of(host)
    assert sock.recv(1) == b""


@check
def options(host: str, port: int) -> None:
    sock = new(host)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == RESET
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 40_000)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 80_000
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) > 1000
    fails(errno.ENOPROTOOPT, sock.getsockopt, socket.IPPROTO_TCP, 12345)
    assert sock.getsockopt(socket.IPPROTO_TCP, TCP_ULP, 8) == b""
    fails(errno.EINVAL, sock.setsockopt, socket.IPPROTO_TCP, socket.TCP_NODELAY, b"x")
    sock.connect((host, port))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) > 500
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)
    assert info[0] == 1, info  # ESTABLISHED
    assert len(info) == 192
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).strip(b"\0")


@check
def sizes_of_options(host: str, port: int) -> None:
    """Each level has rules of its own for values that are shorter than an int."""
    sock = new(host)
    for level, name, size, number in (
        (socket.SOL_SOCKET, 9999, 2, errno.EINVAL),
        (socket.SOL_SOCKET, 9999, 4, errno.ENOPROTOOPT),
        (socket.IPPROTO_TCP, 9999, 1, errno.EINVAL),
        (socket.IPPROTO_TCP, socket.TCP_CONGESTION, 0, errno.EINVAL),
        (socket.IPPROTO_IP, socket.IP_TTL, 0, errno.EINVAL),
        (socket.IPPROTO_IP, socket.IP_TOS, 0, 0),
        (socket.IPPROTO_IP, socket.IP_TOS, 1, 0),
    ):
        fails(number, sock.setsockopt, level, name, bytes(size))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 77)
    for size, value in ((1, b"M"), (3, b"M"), (4, b"M\0\0\0"), (8, b"M\0\0\0")):
        assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_TTL, size) == value, size
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 2) == b"\0\0"
    four = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    fails(errno.EOPNOTSUPP, four.getsockopt, socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    fails(errno.ENOPROTOOPT, four.setsockopt, socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    six = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    six.bind(("::1", 0))
    fails(errno.EINVAL, six.setsockopt, socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)


@check
def conflicts(host: str, port: int) -> None:
    """Two sockets may be bound to one port, and only one may listen there or have a connection."""
    first, second, third = new(host), new(host), new(host)
    first.bind((host_here(host, port), 0))
    where = first.getsockname()[:2]
    fails(errno.EADDRINUSE, second.bind, where)
    for sock in (first, second, third):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    second.bind(where)
    third.bind(where)
    first.listen()
    fails(errno.EADDRINUSE, second.listen)
    first.close()
    second.connect((host, port))
    fails(errno.EADDRNOTAVAIL, third.connect, (host, port))


def host_here(host: str, port: int) -> str:
    """Return the address from which a host is reached."""
    return str(connected(host, port).getsockname()[0])


@check
def flags_of_accept(host: str, port: int) -> None:
    server = new(host)
    server.bind(("::1" if ":" in host else "127.0.0.1", 0))
    server.listen()
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.accept4(server.fileno(), None, None, 1) == -1
    assert ctypes.get_errno() == errno.EINVAL


@check
def listening(host: str, port: int) -> None:
    server = new(host)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    any_host = "::" if ":" in host else "0.0.0.0"
    server.bind((any_host, 0))
    chosen = server.getsockname()[1]
    assert chosen > 0
    fails(errno.EINVAL, server.accept)
    server.listen(5)
    assert server.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
    fails(errno.EADDRINUSE, new(host).bind, (any_host, chosen))
    server.settimeout(0)
    fails(errno.EAGAIN, server.accept)
    server.settimeout(0.05)
    with contextlib.suppress(TimeoutError):
        server.accept()
    server.close()
    again = new(host)
    again.bind((any_host, chosen))
    fails(errno.EADDRNOTAVAIL, new(host).bind, ("2001:db8::9" if ":" in host else "203.0.113.9", 0))


@check
def accepting(host: str, port: int) -> None:
    """A server and a client of one program, over the loopback interface."""
    loopback = "::1" if ":" in host else "127.0.0.1"
    server = new(host)
    server.bind((loopback, 0))
    server.listen()
    here = server.getsockname()[:2]
    waiting = threading.Thread(target=accept_one, args=(server,))
    waiting.start()
    client = connected(*here)
    client.sendall(b"ping")
    assert client.recv(4, socket.MSG_WAITALL) == b"pong"
    waiting.join()
    assert client.recv(1) == b""


def accept_one(server: socket.socket) -> None:
    sock, where = server.accept()
    with sock:
        assert sock.getpeername() == where
        assert sock.getsockname()[1] == server.getsockname()[1]
        assert sock.recv(4, socket.MSG_WAITALL) == b"ping"
        sock.sendall(b"pong")


@check
def shut_both_ways(host: str, port: int) -> None:
    """It is a TCP socket still, with its names and options."""
    sock = connected(host, port)
    name = sock.getsockname()
    sock.shutdown(socket.SHUT_RDWR)
    # A poll: to a program that has shut both ways, no event tells that the peer knows.
    deadline = time.monotonic() + 20
    while sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == ESTABLISHED:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert sock.getsockname() == name
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    assert sock.recv(1) == b""


@check
def closed_unread(host: str, port: int) -> None:
    """A close with unread data resets the connection, as RFC 2525 requires."""
    for shut_before in (False, True):
        loopback = "::1" if ":" in host else "127.0.0.1"
        server = new(host)
        server.bind((loopback, 0))
        server.listen()
        client = connected(*server.getsockname()[:2])
        sock, _ = server.accept()
        client.sendall(b"not read")
        assert events(sock, select.POLLIN) == select.POLLIN
        if shut_before:
            sock.shutdown(socket.SHUT_WR)
            assert client.recv(1) == b""
        sock.close()
        assert events(client, select.POLLERR) & select.POLLHUP
        if not shut_before:
            fails(errno.ECONNRESET, client.recv, 1)


@check
def dissolved(host: str, port: int) -> None:
    """connect(2) with AF_UNSPEC dissolves a socket from its connection, which it resets."""
    nobody = struct.pack("=H14x", socket.AF_UNSPEC)
    loopback = "::1" if ":" in host else "127.0.0.1"
    server = new(host)
    server.bind((loopback, 0))
    where = server.getsockname()[:2]
    server.listen()
    sock = new(host)
    raw_connect(sock, nobody)
    for _ in range(2):
        sock.connect(where)
        accepted, _ = server.accept()
        raw_connect(sock, nobody)
        assert events(accepted, select.POLLERR) & select.POLLHUP
        fails(errno.ECONNRESET, accepted.recv, 1)
        fails(errno.ENOTCONN, sock.getpeername)
    sock.connect((host, port))
    sock.sendall(b"x")
    assert sock.recv(1) == b"x"
    raw_connect(server, nobody)
    fails(errno.EINVAL, server.accept)
    server.listen()
    connected(*server.getsockname()[:2]).close()
    server.accept()


@check
def closed_while_connecting(host: str, port: int) -> None:
    """A thread closes the socket while another one waits in connect(2), which returns then."""
    libc = ctypes.CDLL(None)
    address = sockaddr(host, port)
    for pause_us in range(0, 2000, 100):
        fd = libc.socket(family_of(host), socket.SOCK_STREAM, 0)
        thread = threading.Thread(target=libc.connect, args=(fd, address, len(address)))
        thread.start()
        libc.usleep(pause_us)
        os.close(fd)
        thread.join(20)
        assert not thread.is_alive(), pause_us


def sockaddr(host: str, port: int) -> bytes:
    family = family_of(host)
    packed = socket.inet_pton(family, host)
    if family == socket.AF_INET:
        return struct.pack("=H", family) + struct.pack("!H", port) + packed + bytes(8)
    return struct.pack("=H", family) + struct.pack("!HI", port, 0) + packed + bytes(4)


@check
def names_with_ends_of_lines(host: str, port: int) -> None:
    """Names of Unix sockets may hold anything; ports are free again all the same."""
    with socket.socket(socket.AF_UNIX) as named:
        named.bind(b"\0two\nlines\r\x0b \xff")
        server = new(host)
        server.bind(("::1" if ":" in host else "127.0.0.1", 0))
        where = server.getsockname()
        server.close()
        server = new(host)
        server.bind(where)


@check
def v4_mapped(host: str, port: int) -> None:
    if ":" in host:
        return
    sock = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    sock.settimeout(20)
    sock.connect((f"::ffff:{host}", port))
    assert sock.getpeername()[0] == f"::ffff:{host}"
    sock.sendall(b"x")
    assert sock.recv(1) == b"x"
    only = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    only.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    fails(errno.ENETUNREACH, only.connect, (f"::ffff:{host}", port))


@check
def inherited(host: str, port: int) -> None:
    """A child has the socket, and the parent lets go of it."""
    sock = connected(host, port)
    copy = os.dup(sock.fileno())
    os.set_blocking(copy, True)
    sock.close()
    child = os.fork()
    if child == 0:
        os.write(copy, b"child")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert os.read(copy, 5) == b"child"
    os.close(copy)


@check
def duplicated_before_connect(host: str, port: int) -> None:
    sock = new(host)
    copy = socket.socket(fileno=os.dup(sock.fileno()))
    copy.settimeout(20)
    sock.connect((host, port))
    copy.sendall(b"x")
    assert copy.recv(1) == b"x"
    assert copy.getpeername()[:2] == (host, port)


@check
def passed(host: str, port: int) -> None:
    """A descriptor goes to another process over a Unix socket."""
    here, there = socket.socketpair()
    child = os.fork()
    if child == 0:
        _, found, _, _ = here.recvmsg(1, socket.CMSG_SPACE(4))
        descriptors = array.array("i", found[0][2])
        given = socket.socket(fileno=descriptors[0])
        given.settimeout(20)
        assert given.getpeername()[:2] == (host, port)
        given.sendall(b"x")
        os._exit(0 if given.recv(1) == b"x" else 1)
    sock = connected(host, port)
    socket.send_fds(there, [b"."], [sock.fileno()])
    sock.close()
    assert os.waitpid(child, 0)[1] == 0


@check
def urgent_data(host: str, port: int) -> None:
    sock = connected(host, port)
    sock.settimeout(None)
    if over_our_stack():
        fails(errno.EOPNOTSUPP, sock.send, b"x", socket.MSG_OOB)
    fails(errno.EINVAL, sock.recv, 1, socket.MSG_OOB)


@check
def other_sockets(host: str, port: int) -> None:
    """Datagrams and Unix sockets are the kernel's."""
    one, other = (socket.socket(family_of(host), socket.SOCK_DGRAM) for _ in range(2))
    loopback = "::1" if ":" in host else "127.0.0.1"
    one.bind((loopback, 0))
    other.connect(one.getsockname())
    other.send(b"x")
    assert one.recv(1) == b"x"
    left, right = socket.socketpair()
    left.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 10_000)
    left.send(b"x")
    assert right.recv(1) == b"x"
    left.shutdown(socket.SHUT_WR)
    assert right.recv(1) == b""


@check
def io_uring_is_absent(host: str, port: int) -> None:
    if over_our_stack():
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.syscall(425, 1, None) == -1
        assert ctypes.get_errno() == errno.ENOSYS


@check
def interrupted(host: str, port: int) -> None:
    """Signals interrupt an accept that waits; with SA_RESTART it goes on."""
    server = new(host)
    server.settimeout(None)
    server.bind(("::1" if ":" in host else "127.0.0.1", 0))
    server.listen()
    here = server.getsockname()[:2]
    seen: list[int] = []

    def handle(*_: object) -> None:
        seen.append(1)
        if len(seen) == 3:
            client = threading.Thread(target=lambda: connected(*here).close())
            client.start()

    signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    try:
        server.accept()[0].close()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    assert len(seen) >= 3


@check
def many(host: str, port: int) -> None:
    socks = [connected(host, port) for _ in range(50)]
    for number, sock in enumerate(socks):
        sock.sendall(b"%d" % number)
    for number, sock in enumerate(socks):
        assert sock.recv(10) == b"%d" % number


def over_our_stack() -> bool:
    """A Unix socket stands for ours: the kernel's own table says so."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        inode = os.fstat(sock.fileno()).st_ino
        with open("/proc/net/unix") as table:  # noqa: PTH123
            return any(line.split()[6] == str(inode) for line in table.readlines()[1:])


def main() -> None:
    host, port, *names = sys.argv[1:]
    failed = False
    for name, function in CHECKS.items():
        if names and name not in names:
            continue
        began = time.monotonic()
        try:
            function(host, int(port))
        except BaseException as error:
            failed = True
            print(f"{name}: {type(error).__name__}: {error}", flush=True)
            traceback.print_exc()
        else:
            print(f"{name}: ok {time.monotonic() - began:.3f}", flush=True)
    sys.exit(int(failed))


if __name__ == "__main__":
    main()
