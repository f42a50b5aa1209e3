"""Operations in one namespace, in order and with as few system calls as possible."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Callable, Sequence

import msgspec

from testbed import sysctls
from testbed.errors import OperationError
from testbed.netlink.codec import NETLINK_GENERIC, Request
from testbed.netlink.transport import KernelError
from testbed.sandbox.holder.namespace import Namespace
from testbed.sandbox.netlink import links
from testbed.topology.operations import Operation


class _Request(msgspec.Struct, frozen=True):
    operation: Operation
    family: int  # the netlink family
    message: Request


class _Action(msgspec.Struct, frozen=True):
    operation: Operation
    do: Callable[[], None]
    hint: Callable[[], str | None] = lambda: None  # called when the kernel refuses


class Queue:
    """A queue of requests and actions for one namespace."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._steps: list[_Request | _Action] = []
        self._last: list[_Request | _Action] = []

    def route(self, operation: Operation, message: Request) -> None:
        """Add an rtnetlink request."""
        self._steps.append(_Request(operation, socket.NETLINK_ROUTE, message))

    def generic(self, operation: Operation, message: Request) -> None:
        """Add a generic netlink request."""
        self._steps.append(_Request(operation, NETLINK_GENERIC, message))

    def sysctl(self, operation: Operation, key: str, value: str) -> None:
        """Add an action that writes a sysctl."""
        namespace = self._namespace
        self._steps.append(
            _Action(operation, lambda: _write(namespace, key, value), lambda: _there(key, value))
        )

    def disable_offload(self, operation: Operation, interface: str) -> None:
        """Add an action that disables an interface's offload, after all other steps."""
        netlink = self._namespace.socket
        self._last.append(_Action(operation, lambda: links.disable_offload(netlink(), interface)))

    def flush(self) -> None:
        """Carry out the queue.

        :raises OperationError: the first failure.
        """
        steps, self._steps, self._last = self._steps + self._last, [], []
        for family, group in itertools.groupby(steps, key=_family):
            if family is None:
                with self._namespace.entered():
                    _act([each for each in group if isinstance(each, _Action)])
            else:
                self._send(family, [each for each in group if isinstance(each, _Request)])

    def _send(self, family: int, requests: Sequence[_Request]) -> None:
        answers = self._namespace.socket(family).request([each.message for each in requests])
        for each, error in zip(requests, answers, strict=True):
            if error is not None:
                raise refusal(each.operation, error)


def refusal(
    operation: Operation | str, error: KernelError, hint: str | None = None
) -> OperationError:
    """Return the error for an operation that the kernel refused."""
    return OperationError(str(operation), wanted="success", seen=f"the error {error}", hint=hint)


def _family(step: _Request | _Action) -> int | None:
    return step.family if isinstance(step, _Request) else None


def _act(actions: Sequence[_Action]) -> None:
    for each in actions:
        try:
            each.do()
        except OSError as error:
            answer = KernelError(error.errno or 0)
            raise refusal(each.operation, answer, each.hint()) from error


def _write(namespace: Namespace, key: str, value: str) -> None:
    descriptor = namespace.open_sysctl(key, os.O_WRONLY)
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)


def _there(key: str, value: str) -> str | None:
    """Return a hint for a refused sysctl: its fault if known, else the values that it accepts."""
    wrong = sysctls.wrong(key, value)
    return sysctls.taken(key) if wrong is None else str(wrong)
