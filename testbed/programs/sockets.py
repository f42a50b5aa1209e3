"""The TCP sockets of the programs: what each is, by the Unix socket that stands for it."""

from __future__ import annotations

import enum
import errno
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from testbed.packet.address import Address, unmapped
from testbed.programs import addresses
from testbed.programs.options import NO_PORT, REUSEADDR, REUSEPORT, V6ONLY, Options
from testbed.programs.relay import BUFFER, Relay

_UNIX: Final = Path("/proc/self/net/unix")
# Up to the inode; a name comes behind it, which may hold anything, ends of lines, too.
_LINE: Final = re.compile(
    rb"^[0-9a-f]+: (?:[0-9A-F]{8} ){3}[0-9A-F]+ [0-9A-F]+ +(\d+)", re.MULTILINE
)


# What shutdown(2) closes: 1 is reading, 2 is writing.
SHUT: Final = {socket.SHUT_RD: 1, socket.SHUT_WR: 2, socket.SHUT_RDWR: 3}


class Phase(enum.Enum):
    """How far a socket is."""

    NEW = enum.auto()
    CONNECTING = enum.auto()
    CONNECTED = enum.auto()
    FAILED = enum.auto()  # the connection, or the attempt to open it
    LISTENING = enum.auto()


class Socket:
    """One TCP socket of a program, however many descriptors and processes share it.

    :param protocol: as getsockopt(2) tells it, IPPROTO_TCP or IPPROTO_MPTCP.
    """

    def __init__(self, inode: int, family: int, protocol: int, options: Options) -> None:
        self.inode = inode
        self.family = socket.AddressFamily(family)
        self.protocol = protocol
        self.options = options
        self.phase = Phase.NEW
        self.local: Address | None = None  # as bound or connected
        self.remote: Address | None = None
        self.holds_port = False
        self.named = False  # its local address is what bind(2) has said
        self.dissolved = False  # by connect(2): its connection is to be reset
        self.relay: Relay | None = None
        self.error = 0  # SO_ERROR
        self.shut = 0  # sides that are closed: see SHUT
        self.told = True  # connect(2) has said how the attempt went
        self.seen = (0, -1)  # the thread that used it last, and its descriptor there

    @property
    def name(self) -> Address:
        """Its local address as getsockname(2) tells it."""
        return self.local or Address(addresses.ANY[self.family], 0)

    @property
    def bound(self) -> Address | None:
        """The local address of a socket that is not connected, if it has one."""
        return self.local if self.phase in (Phase.NEW, Phase.LISTENING) else None

    @property
    def hosts(self) -> tuple[str, ...]:
        """The addresses on which it hears: any IPv6 address may mean any of IPv4, too."""
        host = unmapped(self.name.host)
        if host == addresses.ANY[socket.AF_INET6] and not self.options.flag(V6ONLY):
            return (host, addresses.ANY[socket.AF_INET])
        return (host,)

    def has_level(self, level: int) -> bool:
        """Tell whether it can have options of a level: those of IPv6 are not for IPv4."""
        return level != socket.IPPROTO_IPV6 or self.family == socket.AF_INET6

    def successor(self, inode: int) -> Socket:
        """Return one with its options that is not connected, and is bound where it is."""
        found = Socket(inode, self.family, self.protocol, self.options)
        if self.named:
            found.local, found.named = self.local, True
        return found

    def take_error(self) -> int:
        """Return what SO_ERROR says, which is 0 from then on."""
        error, self.error = self.error, 0
        return error


class Ports(Protocol):
    """The host, which has ports and addresses (:class:`testbed.host.driver.Host`)."""

    def hold_port(self, port: int = 0) -> int:
        """Keep a port from others."""

    def let_go_port(self, port: int) -> None:
        """Give it back."""

    def is_local(self, host: str) -> bool:
        """Tell whether an address is this host's."""


class Table:
    """All sockets, by the inode of the Unix socket; and their ports.

    Nothing tells when a program closes a socket that has no connection.  So those are looked for in
    the kernel's table now and then, and where a port is wanted.
    """

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._sockets: dict[int, Socket] = {}

    def __iter__(self) -> Iterator[Socket]:
        return iter(tuple(self._sockets.values()))

    def __len__(self) -> int:
        return len(self._sockets)

    def add(self, sock: Socket) -> None:
        """Take a further one."""
        self._sockets[sock.inode] = sock

    def find(self, inode: int | None) -> Socket | None:
        """Return the socket that a Unix socket stands for; ``None``: it is none of ours."""
        return None if inode is None else self._sockets.get(inode)

    def renew(self, sock: Socket, inode: int) -> None:
        """Take that another Unix socket stands for it, which is not connected yet."""
        self._sockets.pop(sock.inode, None)
        sock.inode = inode
        sock.phase = Phase.NEW
        sock.relay = sock.remote = None
        if not sock.holds_port:
            sock.local = None
        self.add(sock)

    def replace(self, sock: Socket, inode: int) -> None:
        """Take that a Unix socket stands for a successor of one that is not connected any more."""
        successor = sock.successor(inode)
        if successor.local is not None and sock.holds_port:
            self._ports.hold_port(successor.local.port)
            successor.holds_port = True
        self.add(successor)

    def remove(self, sock: Socket) -> None:
        """Forget one that is closed."""
        if self._sockets.get(sock.inode) is sock:
            del self._sockets[sock.inode]
            if sock.holds_port:
                sock.holds_port = False
                self._ports.let_go_port(sock.name.port)

    def closed(self) -> tuple[Socket, ...]:
        """Return those without a connection that no program has any more; they stay here."""
        idle = [it for it in self if it.relay is None or it.relay.over]
        if not idle:
            return ()
        there = {int(inode) for inode in _LINE.findall(_UNIX.read_bytes())}
        return tuple(it for it in idle if it.inode not in there)

    def bind(self, sock: Socket, address: Address) -> None:
        """Give a socket its local address, and a port if it asks for any.

        :raises OSError: EADDRNOTAVAIL, the address is not this host's; EADDRINUSE, another socket
            has it; EACCES, the port is privileged.
        """
        host = unmapped(address.host)
        if not addresses.is_any(host) and not self._ports.is_local(host):
            raise _error(errno.EADDRNOTAVAIL)
        if address.port == 0 and sock.options.flag(NO_PORT):
            sock.local = address
            return
        if address.port and any(self._conflict(sock, address, other) for other in self):
            raise _error(errno.EADDRINUSE)
        sock.local = Address(address.host, self._ports.hold_port(address.port))
        sock.holds_port = True

    def require_free(self, sock: Socket) -> None:
        """Refuse to let a socket listen where another one does (``inet_csk_listen_start``).

        :raises OSError: EADDRINUSE.
        """
        listening = [other for other in self if other.phase is Phase.LISTENING]
        if any(self._conflict(sock, sock.name, other) for other in listening):
            raise _error(errno.EADDRINUSE)

    def _conflict(self, sock: Socket, address: Address, other: Socket) -> bool:
        """Tell whether an address is another socket's already (socket(7), SO_REUSEADDR)."""
        if other is sock or not other.holds_port or other.name.port != address.port:
            return False
        mine, theirs = {unmapped(address.host)}, set(other.hosts)
        if addresses.ANY[socket.AF_INET6] in mine and not sock.options.flag(V6ONLY):
            mine.add(addresses.ANY[socket.AF_INET])
        if not (mine & theirs or _covers(mine, theirs) or _covers(theirs, mine)):
            return False
        both = (sock.options, other.options)
        if all(it.flag(REUSEPORT) for it in both):
            return False
        shared = all(it.flag(REUSEADDR) for it in both)
        return not (shared and other.phase is not Phase.LISTENING)


def _covers(wide: set[str], narrow: set[str]) -> bool:
    """Tell whether any address of a family, if it is in ``wide``, is one of ``narrow``."""
    return any(
        any_ in wide and any((":" in it) == (":" in any_) for it in narrow)
        for any_ in addresses.ANY.values()
    )


def unix_socket() -> socket.socket:
    """Return a Unix socket that a program gets for a TCP socket."""
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    return found


def inode_of(sock: socket.socket) -> int:
    """Return the number by which the kernel knows a socket."""
    return os.fstat(sock.fileno()).st_ino


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
