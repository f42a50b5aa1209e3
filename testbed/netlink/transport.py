"""A netlink socket that sends many requests with one system call (netlink(7)).

The sockets of pyroute2 send one request at a time. Each takes 1.4 ms, of which the kernel needs 0.1
ms.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from testbed.netlink import codec
from testbed.netlink.codec import HEADER as _HEADER
from testbed.netlink.codec import (
    NLM_F_ACK,
    NLM_F_ACK_TLVS,
    NLM_F_DUMP,
    NLM_F_DUMP_INTR,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    Request,
)

BATCH: Final = 64  # requests per send: more gain nothing; the answers fit any receive buffer
SOL_NETLINK: Final = 270
NETLINK_ADD_MEMBERSHIP: Final = 1
# linux/netlink.h: answers explain errors and do not repeat the request; dumps are checked.
_OPTIONS: Final = (11, 10, 12)  # NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK
# Octets.  A dump fills half of it at most.  A larger buffer would get new pages for each answer.
_RECEIVE: Final = 1 << 16
_INT: Final = struct.Struct("=i")
_EXPLANATION: Final = 1  # NLMSGERR_ATTR_MSG


class KernelError(msgspec.Struct, frozen=True):
    """The kernel's answer to a request that it refused."""

    number: int  # errno
    text: str | None = None  # the extended acknowledgement, if the kernel sent one

    def __str__(self) -> str:
        name = errno.errorcode.get(self.number, str(self.number))
        return f"{name}: {self.text or os.strerror(self.number)}"


class Netlink:
    """A netlink socket in the network namespace in which the thread created it."""

    def __init__(self, family: int = socket.NETLINK_ROUTE) -> None:
        self._sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family)
        for option in _OPTIONS:
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
        """Return the socket, for ioctl(2) calls on its namespace's interfaces."""
        return self._sock.fileno()

    def request(self, requests: Sequence[Request]) -> list[KernelError | None]:
        """Send requests; return for each the error, or None if the kernel accepted it."""
        answers: list[KernelError | None] = []
        for start in range(0, len(requests), BATCH):
            answers += self._batch(requests[start : start + BATCH])
        return answers

    def dump(self, request: Request) -> list[bytes]:
        """Return all objects that a dump request yields, each as a whole message.

        :raises OSError: the kernel refused the request.
        """
        while True:
            bodies, interrupted = self._dump(request)
            if not interrupted:  # the table did not change during the dump
                return bodies

    def get(self, request: Request) -> bytes:
        """Return the one object that a request yields.

        :raises OSError: the kernel refused the request.
        """
        self._send([request], NLM_F_REQUEST)
        number, _, _, body = next(self._receive())
        if number == NLMSG_ERROR:
            _raise(body)
        return _anonymous(body)

    def _batch(self, requests: Sequence[Request]) -> list[KernelError | None]:
        first = self._send(requests, NLM_F_REQUEST | NLM_F_ACK)
        answers: list[KernelError | None] = [None] * len(requests)
        missing = len(requests)
        while missing:
            for number, flags, sequence, body in self._receive():
                if number != NLMSG_ERROR:
                    continue
                missing -= 1
                error = -_INT.unpack_from(body, _HEADER.size)[0]
                if error:
                    answers[sequence - first] = KernelError(error, _explanation(flags, body))
        return answers

    def _dump(self, request: Request) -> tuple[list[bytes], bool]:
        self._send([request], NLM_F_REQUEST | NLM_F_DUMP)
        bodies: list[bytes] = []
        interrupted = False
        while True:
            for number, flags, _, body in self._receive():
                interrupted = interrupted or bool(flags & NLM_F_DUMP_INTR)
                if number in (NLMSG_ERROR, NLMSG_DONE):
                    _raise(body)
                    return bodies, interrupted
                bodies.append(_anonymous(body))

    def _send(self, requests: Sequence[Request], flags: int) -> int:
        """Number and send requests; return the sequence number of the first."""
        first = self._sequence + 1
        data = bytearray()
        for request in requests:
            self._sequence += 1
            length, kind, own, _, _ = _HEADER.unpack_from(request)
            data += _HEADER.pack(length, kind, own | flags, self._sequence, 0)
            data += request[_HEADER.size :]
        self._sock.send(data)
        return first

    def _receive(self) -> Iterator[tuple[int, int, int, memoryview]]:
        """Yield (type, flags, sequence, whole message) for each message of one datagram."""
        datagram = memoryview(self._sock.recv(_RECEIVE))
        offset = 0
        while offset < len(datagram):
            length, number, flags, sequence, _ = _HEADER.unpack_from(datagram, offset)
            yield number, flags, sequence, datagram[offset : offset + length]
            offset += (length + 3) & ~3


def _anonymous(body: memoryview) -> bytes:
    """Return a message without sequence number and port, so that equal objects are equal bytes."""
    length, kind, flags, _, _ = _HEADER.unpack_from(body)
    return _HEADER.pack(length, kind, flags, 0, 0) + body[_HEADER.size :]


def _raise(body: memoryview) -> None:
    """Raise the error of an NLMSG_ERROR or NLMSG_DONE, if it has one."""
    error = -_INT.unpack_from(body, _HEADER.size)[0]
    if error:
        raise OSError(error, os.strerror(error))


def _explanation(flags: int, body: memoryview) -> str | None:
    """Return the text of an extended acknowledgement.

    With NETLINK_CAP_ACK the attributes follow the error number and the header of the request.
    """
    if not flags & NLM_F_ACK_TLVS:
        return None
    return codec.attributes(bytes(body), 2 * _HEADER.size + _INT.size).text(_EXPLANATION)
