"""A netlink socket on which many requests travel in one send.

pyroute2 encodes and decodes every message; its own sockets take one request at a time, at 1.4 ms
each, where the kernel needs 0.1.  See netlink(7).
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

import msgspec
from pyroute2.netlink import (
    NETLINK_EXT_ACK,
    NETLINK_GET_STRICT_CHK,
    NLM_F_ACK,
    NLM_F_ACK_TLVS,
    NLM_F_DUMP,
    NLM_F_DUMP_INTR,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    SOL_NETLINK,
    nlmsg,
    nlmsgerr,
)

BATCH: Final = 64  # requests a send: more gain nothing, and their answers fit any receive buffer
_NETLINK_CAP_ACK: Final = 10  # linux/netlink.h: answers do not repeat the request
_RECEIVE: Final = 1 << 18
_HEADER: Final = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port
_INT: Final = struct.Struct("=i")

Message = TypeVar("Message", bound=nlmsg)


class KernelError(msgspec.Struct, frozen=True):
    """The kernel's answer to a request it refused."""

    number: int  # errno
    text: str | None = None  # the extended acknowledgement, if the kernel explained itself

    def __str__(self) -> str:
        name = errno.errorcode.get(self.number, str(self.number))
        return f"{name}: {self.text or os.strerror(self.number)}"


class Netlink:
    """One socket in the network namespace the thread was in when it was made."""

    def __init__(self, family: int = socket.NETLINK_ROUTE) -> None:
        self._sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family)
        for option in (NETLINK_EXT_ACK, _NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK):
            self._sock.setsockopt(SOL_NETLINK, option, 1)
        self._sequence = 0

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()

    def fileno(self) -> int:
        """The socket, for ioctl(2) calls about its namespace's interfaces."""
        return self._sock.fileno()

    def request(self, messages: Sequence[nlmsg]) -> list[KernelError | None]:
        """Send requests whose ``header`` says type and flags; return the answer to each."""
        answers: list[KernelError | None] = []
        for start in range(0, len(messages), BATCH):
            answers += self._batch(messages[start : start + BATCH])
        return answers

    def dump(self, message: nlmsg, kind: type[Message]) -> list[Message]:
        """Return all objects a dump request yields, each a ``kind``.

        :raises OSError: the kernel refused the request.
        """
        while True:
            bodies, interrupted = self._dump(message)
            if not interrupted:  # else the table changed under us
                return [_decode(kind, body) for body in bodies]

    def get(self, message: nlmsg, kind: type[Message]) -> Message:
        """Return the one object a request yields; :class:`OSError` if it is refused."""
        sequence = self._send([message], NLM_F_REQUEST)
        for number, _, _, body in self._receive():
            if number == NLMSG_ERROR:
                _raise(body)
            return _decode(kind, body)
        raise AssertionError(sequence)

    def _batch(self, messages: Sequence[nlmsg]) -> list[KernelError | None]:
        first = self._send(messages, NLM_F_REQUEST | NLM_F_ACK)
        answers: list[KernelError | None] = [None] * len(messages)
        missing = len(messages)
        while missing:
            for number, flags, sequence, body in self._receive():
                if number != NLMSG_ERROR:
                    continue
                missing -= 1
                error = -_INT.unpack_from(body, _HEADER.size)[0]
                if error:
                    answers[sequence - first] = KernelError(error, _explanation(flags, body))
        return answers

    def _dump(self, message: nlmsg) -> tuple[list[memoryview], bool]:
        self._send([message], NLM_F_REQUEST | NLM_F_DUMP)
        bodies: list[memoryview] = []
        interrupted = False
        while True:
            for number, flags, _, body in self._receive():
                interrupted = interrupted or bool(flags & NLM_F_DUMP_INTR)
                if number in (NLMSG_ERROR, NLMSG_DONE):
                    _raise(body)
                    return bodies, interrupted
                bodies.append(body)

    def _send(self, messages: Sequence[nlmsg], flags: int) -> int:
        """Encode and send; return the sequence number of the first."""
        first = self._sequence + 1
        data = bytearray()
        for message in messages:
            self._sequence += 1
            message["header"]["flags"] = message["header"].get("flags", 0) | flags
            message["header"]["sequence_number"] = self._sequence
            message.reset()
            message.encode()
            data += message.data
        self._sock.send(data)
        return first

    def _receive(self) -> Iterator[tuple[int, int, int, memoryview]]:
        """Yield (type, flags, sequence, whole message) of one datagram."""
        datagram = memoryview(self._sock.recv(_RECEIVE))
        offset = 0
        while offset < len(datagram):
            length, number, flags, sequence, _ = _HEADER.unpack_from(datagram, offset)
            yield number, flags, sequence, datagram[offset : offset + length]
            offset += (length + 3) & ~3


def _decode(kind: type[Message], body: memoryview) -> Message:
    message: Message = kind(bytes(body))
    message.decode()
    return message


def _raise(body: memoryview) -> None:
    """Raise the error an NLMSG_ERROR or NLMSG_DONE carries, if it does."""
    error = -_INT.unpack_from(body, _HEADER.size)[0]
    if error:
        raise OSError(error, os.strerror(error))


def _explanation(flags: int, body: memoryview) -> str | None:
    """Return the text of an extended acknowledgement.

    With NETLINK_CAP_ACK the attributes follow the header of the failed request; pyroute2's class
    expects them right after the error number, so that header is cut out.
    """
    if not flags & NLM_F_ACK_TLVS:
        return None
    start = _HEADER.size + _INT.size
    data = bytearray(body[:start]) + body[start + _HEADER.size :]
    struct.pack_into("=I", data, 0, len(data))
    text = _decode(nlmsgerr, memoryview(data)).get_attr("NLMSGERR_ATTR_MSG")
    return None if text is None else str(text)
