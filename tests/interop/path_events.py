"""Waiting for paths: what our stack traces, and what the kernel's path manager announces."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from testbed.netlink import mptcp
from testbed.netlink.codec import NETLINK_GENERIC
from testbed.netlink.transport import NETLINK_ADD_MEMBERSHIP, SOL_NETLINK, Netlink
from testbed.probe.probes.pm_events import EVENTS


class Traced:
    """A tracer (:class:`testbed.trace.Tracer`) that wakes who waits for a state of the stack."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def event(self, name: str, now: int, fields: dict[str, Any]) -> None:
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition, which is tried after each event."""
        while not condition():
            self._changed.clear()
            await self._changed.wait()


class KernelEvents:
    """The events of the kernel's path manager in this network namespace, from now on."""

    def __init__(self) -> None:
        with Netlink(NETLINK_GENERIC) as netlink:
            groups = mptcp.groups(netlink)
        assert groups is not None
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
        self._socket.bind((0, 0))  # a socket without a port number gets no multicast
        self._socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, groups[mptcp.EVENTS_GROUP])

    def await_one(self, name: str) -> None:
        """Wait for the next event of this name."""
        while EVENTS.get(mptcp.read_event(self._socket.recv(2**16)).command) != name:
            pass
