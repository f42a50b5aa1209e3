"""The messages between the holder of a sandbox and its clients, and their frames.

A message is a 4-octet big-endian length and that number of octets of MessagePack. A request has an
``id`` that its only answer repeats. Descriptors are sent by SCM_RIGHTS with the first octet of
their frame; the message states their number. The holder also sends :class:`Exited` and
:class:`Fault` without a request.
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

MAX_FRAME: Final = 256 * 1024 * 1024  # octets; a plan of 100,000 operations needs a tenth
_CHUNK: Final = 256 * 1024
_MAX_FDS: Final = 64
_DESCRIPTOR: Final = struct.Struct("i")
_LENGTH: Final = struct.Struct(">I")


class Request(msgspec.Struct, frozen=True, kw_only=True, tag_field="request", tag=True):
    """The base of the requests. The client chooses ``id``."""

    id: int


class Execute(Request, frozen=True, kw_only=True):
    """Carry out operations; the answer is :class:`~testbed.sandbox.model.Execution`.

    :param topology: the topology that the operations build, if they are a plan.
    :param change: the change that the operations carry out, if they were planned as a change.
    """

    operations: tuple[AnyOperation, ...]
    topology: Topology | None = None
    change: AnyChange | None = None
    verify: bool = True


class Change(Request, frozen=True, kw_only=True):
    """Change a network that a plan built; the answer is :class:`~testbed.sandbox.model.Changed`.

    :param dry_run: whether to only report the operations and not carry them out.
    """

    changes: tuple[AnyChange, ...]
    dry_run: bool = False


class Spawn(Request, frozen=True, kw_only=True):
    """Start a process; the answer is its pid. ``targets`` are the numbers of its descriptors."""

    namespace: str
    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    targets: tuple[int, ...]


class Signal(Request, frozen=True, kw_only=True):
    """Send a signal to the process group of a process that this client started."""

    pid: int
    signal: int


class Observe(Request, frozen=True, kw_only=True):
    """Read the state of some namespaces or all."""

    namespaces: tuple[str, ...] | None = None


class ReadWires(Request, frozen=True, kw_only=True):
    """Read the shaping and the counters of every wire."""


class Describe(Request, frozen=True, kw_only=True):
    """Return a description of the sandbox and its network."""


class ProbeFeatures(Request, frozen=True, kw_only=True):
    """Return the features of this kernel, as tested inside the sandbox."""


class Enter(Request, frozen=True, kw_only=True):
    """Send descriptors of the namespaces of a node's processes (see ``Entrance``)."""

    namespace: str


class Detach(Request, frozen=True, kw_only=True):
    """Outlive the creator: the sandbox becomes a background sandbox."""


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
    """The first message on a creator's connection: the namespaces are ready.

    The message includes a descriptor, the pidfd of the stem, whose pid is ``pid``.
    """

    pid: int


class Done(msgspec.Struct, frozen=True, tag_field="answer", tag=True):
    """The answer to a request. The request's docstring names the type of ``value``."""

    id: int
    value: msgspec.Raw = msgspec.Raw(b"\xc0")  # MessagePack nil
    descriptors: int = 0


class Failed(msgspec.Struct, frozen=True, tag_field="answer", tag=True):
    """The answer to a failed request. An ``id`` of 0 means that the sandbox did not start."""

    id: int
    failure: Failure


class Exited(msgspec.Struct, frozen=True, kw_only=True, tag_field="answer", tag=True):
    """The end of a process that this client started. ``status`` is that of waitpid(2)."""

    pid: int
    status: int
    cpu_user_s: float
    cpu_system_s: float
    max_rss_bytes: int


class Fault(msgspec.Struct, frozen=True, tag_field="answer", tag=True):
    """A failure that makes the sandbox unreliable, such as the end of its emulator."""

    failure: Failure


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order to a nursery to start the holder of a sandbox.

    It includes two descriptors: the holder's end of the creator's connection, and the file for the
    holder's output.

    :param last: whether no other order follows.
    """

    name: str
    last: bool


AnyAnswer = Ready | Done | Failed | Exited | Fault


def encode(order: Order) -> bytes:
    """Encode an order as one packet."""
    return msgspec.msgpack.encode(order)


def decode(packet: bytes) -> Order:
    """Decode the order in a packet."""
    return msgspec.msgpack.decode(packet, type=Order)


def pack(message: msgspec.Struct) -> bytes:
    """Return the frame of a message."""
    body = msgspec.msgpack.encode(message)
    return _LENGTH.pack(len(body)) + body


def receive(sock: socket.socket) -> tuple[bytes, list[int]]:
    """Return the octets and the descriptors that have arrived on a socket.

    No octets mean that the peer has closed the connection. Children do not inherit the descriptors.
    """
    space = socket.CMSG_LEN(_MAX_FDS * _DESCRIPTOR.size)
    # Not socket.recv_fds, which up to Python 3.12 ignores its flags.
    data, ancillary, _, _ = sock.recvmsg(_CHUNK, space, socket.MSG_CMSG_CLOEXEC)
    return data, [
        descriptor
        for level, kind, content in ancillary
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
        for (descriptor,) in _DESCRIPTOR.iter_unpack(content)
    ]


class Frames:
    """Splits a byte stream into the bodies of frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Add received octets and yield each complete body.

        :raises ValueError: the octets do not follow the protocol.
        """
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
