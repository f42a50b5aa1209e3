"""The TCP sockets of the programs, found by the Unix socket that represents each."""

from __future__ import annotations

import enum
import errno
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from testbed.packet.address import Address, Flow, unmapped
from testbed.programs import addresses
from testbed.programs.options import NO_PORT, REUSEADDR, REUSEPORT, V6ONLY, Options
from testbed.programs.relay import BUFFER, Relay

_UNIX: Final = Path("/proc/self/net/unix")
# Up to the inode. A name follows, which may contain any characters, also newlines.
_LINE: Final = re.compile(
    rb"^[0-9a-f]+: (?:[0-9A-F]{8} ){3}[0-9A-F]+ [0-9A-F]+ +(\d+)", re.MULTILINE
)


# The sides that shutdown(2) closes: 1 is reading, 2 is writing.
SHUT: Final = {socket.SHUT_RD: 1, socket.SHUT_WR: 2, socket.SHUT_RDWR: 3}


class Phase(enum.Enum):
    """The state of a socket."""

    NEW = enum.auto()
    CONNECTING = enum.auto()
    CONNECTED = enum.auto()
    FAILED = enum.auto()  # the connection, or the attempt to open it, failed
    LISTENING = enum.auto()


class Socket:
    """A TCP socket of a program. Several descriptors and processes may share it.

    :param protocol: the SO_PROTOCOL of the socket: IPPROTO_TCP or IPPROTO_MPTCP.
    """

    def __init__(self, inode: int, family: int, protocol: int, options: Options) -> None:
        self.inode = inode
        self.family = socket.AddressFamily(family)
        self.protocol = protocol
        self.options = options
        self.phase = Phase.NEW
        self.local: Address | None = None  # the address of bind(2) or of the connection
        self.remote: Address | None = None
        self.holds_port = False
        self.named = False  # whether bind(2) has set the local address
        self.dissolved = False  # whether connect(2) has ended the connection, to reset it
        self.relay: Relay | None = None
        self.error = 0  # SO_ERROR
        self.shut = 0  # the closed sides: see SHUT
        self.told = True  # whether connect(2) has reported the result of the attempt
        self.seen = (0, -1)  # the last thread that used the socket, and the descriptor there

    @property
    def name(self) -> Address:
        """The local address for getsockname(2)."""
        return self.local or Address(addresses.ANY[self.family], 0)

    @property
    def bound(self) -> Address | None:
        """The local address of an unconnected socket, if it has one."""
        return self.local if self.phase in (Phase.NEW, Phase.LISTENING) else None

    @property
    def hosts(self) -> tuple[str, ...]:
        """The addresses to listen on. The unspecified IPv6 address may include that of IPv4."""
        host = unmapped(self.name.host)
        if host == addresses.ANY[socket.AF_INET6] and not self.options.flag(V6ONLY):
            return (host, addresses.ANY[socket.AF_INET])
        return (host,)

    def has_level(self, level: int) -> bool:
        """Return whether it can have options of a level: an IPv4 socket has none of IPv6."""
        return level != socket.IPPROTO_IPV6 or self.family == socket.AF_INET6

    def successor(self, inode: int) -> Socket:
        """Return an unconnected socket with the same options and the same bound address."""
        found = Socket(inode, self.family, self.protocol, self.options)
        if self.named and self.local is not None:
            found.take(self.local, holds_port=False)
            found.keep_address()
        return found

    def used_by(self, pid: int, descriptor: int) -> None:
        """Record the thread that uses the socket, and its descriptor there."""
        self.seen = pid, descriptor

    def take(self, address: Address, *, holds_port: bool) -> None:
        """Set the local address.

        :param holds_port: whether its port is reserved for the socket.
        """
        self.local, self.holds_port = address, holds_port

    def keep_address(self) -> None:
        """Record that bind(2) has set the local address, which successors keep."""
        self.named = True

    def let_go_port(self) -> None:
        """Record that its port is not reserved any more."""
        self.holds_port = False

    def listen(self) -> None:
        """Begin to listen."""
        self.phase = Phase.LISTENING

    def stop_listening(self) -> None:
        """Become unconnected again."""
        self.phase = Phase.NEW

    def begin(self, local: Address, remote: Address, relay: Relay) -> None:
        """Begin an attempt to connect."""
        self.phase = Phase.CONNECTING
        self.local, self.remote, self.relay = local, remote, relay

    def conclude(self, error: int, *, told: bool) -> None:
        """Record the result of the attempt.

        :param error: the error, or 0.
        :param told: whether connect(2) has reported it.
        """
        self.told = told
        if error:
            self.fail(0 if told else error)
        elif self.phase is Phase.CONNECTING:
            self.phase = Phase.CONNECTED

    def accept(self, flow: Flow, relay: Relay) -> None:
        """Take an accepted connection."""
        self.phase = Phase.CONNECTED
        self.local, self.remote, self.relay = flow.local, flow.remote, relay

    def tell(self) -> bool:
        """Return whether connect(2) still has to report the result; it does so now."""
        news, self.told = not self.told, True
        return news

    def fail(self, error: int) -> None:
        """Record that the connection failed, or the attempt; ``error`` is the new SO_ERROR."""
        self.phase, self.error = Phase.FAILED, error

    def shut_side(self, how: int) -> None:
        """Record the sides that shutdown(2) closes."""
        self.shut |= SHUT.get(how, 0)

    def dissolve(self) -> None:
        """Record that connect(2) ends the connection, and resets it if it was not shut."""
        self.dissolved = not self.shut & SHUT[socket.SHUT_WR]

    def renew(self, inode: int) -> None:
        """Become unconnected, with another Unix socket. A reserved port stays."""
        self.inode = inode
        self.phase = Phase.NEW
        self.relay = self.remote = None
        if not self.holds_port:
            self.local = None

    def take_error(self) -> int:
        """Return the value of SO_ERROR, and reset it to 0."""
        error, self.error = self.error, 0
        return error


class Ports(Protocol):
    """The host's ports and addresses (:class:`testbed.host.driver.Host`)."""

    def hold_port(self, port: int = 0) -> int:
        """Reserve a port."""

    def let_go_port(self, port: int) -> None:
        """Release a port."""

    def is_local(self, host: str) -> bool:
        """Return whether an address belongs to this host."""


class Table:
    """All sockets, by the inode of the Unix socket, and their ports.

    There is no notification when a program closes a socket without a connection. So the supervisor
    looks for closed sockets in the kernel's table at intervals, and when it needs a port.
    """

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._sockets: dict[int, Socket] = {}

    def __iter__(self) -> Iterator[Socket]:
        return iter(tuple(self._sockets.values()))

    def __len__(self) -> int:
        return len(self._sockets)

    def add(self, sock: Socket) -> None:
        """Add a socket."""
        self._sockets[sock.inode] = sock

    def find(self, inode: int | None) -> Socket | None:
        """Return the socket that a Unix socket represents; ``None`` if there is none."""
        return None if inode is None else self._sockets.get(inode)

    def renew(self, sock: Socket, inode: int) -> None:
        """Record that another, unconnected Unix socket represents a socket."""
        self._sockets.pop(sock.inode, None)
        sock.renew(inode)
        self.add(sock)

    def replace(self, sock: Socket, inode: int) -> None:
        """Record that a Unix socket represents the successor of a disconnected socket."""
        successor = sock.successor(inode)
        if successor.local is not None and sock.holds_port:
            self._ports.hold_port(successor.local.port)
            successor.take(successor.local, holds_port=True)
        self.add(successor)

    def remove(self, sock: Socket) -> None:
        """Remove a closed socket."""
        if self._sockets.get(sock.inode) is sock:
            del self._sockets[sock.inode]
            if sock.holds_port:
                sock.let_go_port()
                self._ports.let_go_port(sock.name.port)

    def closed(self) -> tuple[Socket, ...]:
        """Return the unconnected sockets that no program has any more. They stay in the table."""
        idle = [it for it in self if it.relay is None or it.relay.over]
        if not idle:
            return ()
        there = {int(inode) for inode in _LINE.findall(_UNIX.read_bytes())}
        return tuple(it for it in idle if it.inode not in there)

    def bind(self, sock: Socket, address: Address) -> None:
        """Set a socket's local address. If its port is 0, choose a port.

        :raises OSError: EADDRNOTAVAIL: the address is not one of this host; EADDRINUSE: another
            socket has it; EACCES: the port is privileged.
        """
        host = unmapped(address.host)
        if not addresses.is_any(host) and not self._ports.is_local(host):
            raise _error(errno.EADDRNOTAVAIL)
        if address.port == 0 and sock.options.flag(NO_PORT):
            sock.take(address, holds_port=False)
            return
        if address.port and any(self._conflict(sock, address, other) for other in self):
            raise _error(errno.EADDRINUSE)
        self.reserve(sock, address)

    def reserve(self, sock: Socket, address: Address) -> None:
        """Reserve a port for a socket, and set its local address.

        :param address: the address; port 0 chooses a port.
        :raises OSError: no port is free.
        """
        sock.take(Address(address.host, self._ports.hold_port(address.port)), holds_port=True)

    def require_free(self, sock: Socket) -> None:
        """Check that no other socket listens on the address (``inet_csk_listen_start``).

        :raises OSError: EADDRINUSE: another socket listens there.
        """
        listening = [other for other in self if other.phase is Phase.LISTENING]
        if any(self._conflict(sock, sock.name, other) for other in listening):
            raise _error(errno.EADDRINUSE)

    def _conflict(self, sock: Socket, address: Address, other: Socket) -> bool:
        """Return whether another socket has an address already (socket(7), SO_REUSEADDR)."""
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
    """Return whether ``wide`` has the unspecified address of a family of ``narrow``."""
    return any(
        any_ in wide and any((":" in it) == (":" in any_) for it in narrow)
        for any_ in addresses.ANY.values()
    )


def unix_socket() -> socket.socket:
    """Return a new Unix socket that represents a TCP socket in a program."""
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
    return found


def inode_of(sock: socket.socket) -> int:
    """Return the inode number of a socket."""
    return os.fstat(sock.fileno()).st_ino


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
