"""The messages between the holder of a sandbox and its clients, and their frames.

One message is a 4-octet big-endian length and that many octets of MessagePack.  A request carries
an ``id`` that its one answer repeats.  Descriptors travel by SCM_RIGHTS with the first octet of
the frame they belong to; the message says how many there are.  The holder also sends
:class:`Exited` and :class:`Fault` unasked.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Final

import msgspec

from testbed.failure import Failure
from testbed.topology.model import Topology
from testbed.topology.operations import AnyOperation
from testbed.topology.present import AnyChange

MAX_FRAME: Final = 256 * 1024 * 1024  # octets: a plan of 100,000 operations needs a tenth of it
_CHUNK: Final = 256 * 1024
_MAX_FDS: Final = 64
_DESCRIPTOR: Final = struct.Struct("i")
_LENGTH: Final = struct.Struct(">I")


class Request(msgspec.Struct, frozen=True, kw_only=True, tag_field="request", tag=True):
    """Base of what a client asks; ``id`` is chosen by the client."""

    id: int


class Execute(Request, frozen=True, kw_only=True):
    """Carry out operations; answered by :class:`~testbed.sandbox.model.Execution`.

    :param topology: what they build, if they are a plan.
    :param change: what they do to that, if they were planned as a change of it.
    """

    operations: tuple[AnyOperation, ...]
    topology: Topology | None = None
    change: AnyChange | None = None
    verify: bool = True


class Change(Request, frozen=True, kw_only=True):
    """Change what a plan has built; answered by :class:`~testbed.sandbox.model.Changed`.

    :param dry_run: only say what would be done.
    """

    changes: tuple[AnyChange, ...]
    dry_run: bool = False


class Spawn(Request, frozen=True, kw_only=True):
    """Start a process; ``targets`` are the numbers its descriptors get; answered by its pid."""

    namespace: str
    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    targets: tuple[int, ...]


class Signal(Request, frozen=True, kw_only=True):
    """Send a signal to the process group of a process this client started."""

    pid: int
    signal: int


class Observe(Request, frozen=True, kw_only=True):
    """Read the state of some namespaces, or of all."""

    namespaces: tuple[str, ...] | None = None


class ReadWires(Request, frozen=True, kw_only=True):
    """Read shaping and counters of every wire."""


class Describe(Request, frozen=True, kw_only=True):
    """Say what the sandbox is and what was done in it."""


class ProbeFeatures(Request, frozen=True, kw_only=True):
    """Say what this kernel can do, seen from inside the sandbox."""


class Enter(Request, frozen=True, kw_only=True):
    """Send descriptors of the namespaces a process of a node lives in (see ``Entrance``)."""

    namespace: str


class Detach(Request, frozen=True, kw_only=True):
    """Live on when the creator goes: the sandbox becomes a background one."""


class Stop(Request, frozen=True, kw_only=True):
    """End the sandbox."""


AnyRequest = (
    Execute
    | Change
    | Spawn
    | Signal
    | Observe
    | ReadWires
    | Describe
    | ProbeFeatures
    | Enter
    | Detach
    | Stop
)


class Ready(msgspec.Struct, frozen=True, tag_field="answer", tag=True):
    """The first message on a creator's connection: the namespaces stand.

    With it comes a descriptor, the pidfd of the stem, whose process is ``pid``.
    """

    pid: int


class Done(msgspec.Struct, frozen=True, tag_field="answer", tag=True):
    """The answer to a request; ``value`` has the type the request's docstring names."""

    id: int
    value: msgspec.Raw = msgspec.Raw(b"\xc0")  # MessagePack nil
    descriptors: int = 0


class Failed(msgspec.Struct, frozen=True, tag_field="answer", tag=True):
    """The answer to a request that could not be done; ``id`` 0: the sandbox never stood."""

    id: int
    failure: Failure


class Exited(msgspec.Struct, frozen=True, kw_only=True, tag_field="answer", tag=True):
    """A process started by this client has ended; ``status`` is that of waitpid(2)."""

    pid: int
    status: int
    cpu_user_s: float
    cpu_system_s: float
    max_rss_bytes: int


class Fault(msgspec.Struct, frozen=True, tag_field="answer", tag=True):
    """The sandbox no longer does what it was told (its emulator died): stop trusting it."""

    failure: Failure


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a nursery is told: to have the holder of a sandbox be born.

    Two descriptors come with it: the holder's end of the creator's connection, and what takes what
    it writes.

    :param last: no other order will come.
    """

    name: str
    last: bool


AnyAnswer = Ready | Done | Failed | Exited | Fault


def encode(order: Order) -> bytes:
    """Return an order as one packet."""
    return msgspec.msgpack.encode(order)


def decode(packet: bytes) -> Order:
    """Return the order of a packet."""
    return msgspec.msgpack.decode(packet, type=Order)


def pack(message: msgspec.Struct) -> bytes:
    """Return the frame of a message."""
    body = msgspec.msgpack.encode(message)
    return _LENGTH.pack(len(body)) + body


def receive(sock: socket.socket) -> tuple[bytes, list[int]]:
    """Return the octets that have arrived on a socket, and the descriptors with them.

    No data: the other side has gone.  Children do not inherit the descriptors.
    """
    space = socket.CMSG_LEN(_MAX_FDS * _DESCRIPTOR.size)
    # Not socket.recv_fds: up to Python 3.12 it forgets its flags.
    data, ancillary, _, _ = sock.recvmsg(_CHUNK, space, socket.MSG_CMSG_CLOEXEC)
    return data, [
        descriptor
        for level, kind, content in ancillary
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
        for (descriptor,) in _DESCRIPTOR.iter_unpack(content)
    ]


class Frames:
    """Cuts a byte stream into the bodies of frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take what arrived and yield each complete body.  :class:`ValueError`: not our stream."""
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > MAX_FRAME:
                raise ValueError(f"a frame of {length} octets")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            yield body
