"""The common part of both userspace stacks, with one host driver per event loop."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from testbed.packet.address import Address
from testbed.records import View
from testbed.stack.connection import Connection
from testbed.stack.mptcp.config import MptcpConfig
from testbed.workload.stacks.model import Look, OnConnection, Scalar, Server, Streams
from testbed.workload.stacks.options import DEVICE, given, read_back
from testbed.workload.stacks.request import Request

if TYPE_CHECKING:
    from testbed.host.driver import Host


class Userspace:
    """A stack of ours on the interfaces of this network namespace.

    :param name: its name in experiments.
    :param options: the chosen options.
    :param host: makes the driver. It is called while an event loop runs.
    """

    program_option = None

    def __init__(self, name: str, options: msgspec.Struct, host: Callable[[], Host]) -> None:
        self._name = name
        self._options = options
        self._make = host
        self._counters: Mapping[str, int] = {}
        self._hosts: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Host] = (
            weakref.WeakKeyDictionary()
        )

    async def prepare(self) -> None:
        """Load the driver, which then inspects the network."""
        self._host()

    async def connect(self, remote: tuple[str, int], data: bytes = b"") -> Streams:
        """Open a connection."""
        early = early_data(self._options, data)
        reader, writer = await self._host().open_connection(Address(*remote), data=early)
        writer.write(data[len(early) :])
        return reader, writer

    async def listen(self, on_connection: OnConnection, local: tuple[str, int]) -> Server:
        """Listen on a port."""

        async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            on_connection(reader, writer)

        return await self._host().start_server(accepted, Address(*local))

    def command(self, argv: Sequence[str], report: Path) -> tuple[str, ...]:
        """Return the command line that runs a program over this stack (:mod:`testbed.programs`)."""
        request = Request(stack=self._name, chosen=given(self._options), report=str(report))
        return request.command(argv)

    def driver(self) -> Host:
        """Return a new driver for this stack. An event loop must be running."""
        return self._make()

    def inspect(self, writer: asyncio.StreamWriter) -> dict[str, Any]:
        """Return the connection's own view. A connection of an MPTCP stack may be plain TCP."""
        return _view(writer.get_extra_info("connection"))

    def used(self, writer: asyncio.StreamWriter) -> dict[str, Scalar]:
        """Return the values of the options in the connection's configuration."""
        connection = writer.get_extra_info("connection")
        return used(connection, self._options, self._host().device)

    def connections(self) -> Sequence[Look]:
        """Return the present states of the connections of this event loop."""
        host = self._hosts.get(asyncio.get_running_loop())
        return [look(connection) for connection in (host.streams.connections if host else ())]

    def counters(self) -> Mapping[str, int]:
        """Return the final MIB counters of the endpoint."""
        return self._counters

    async def finish(self) -> None:
        """Wait until all connections are closed at both ends, and leave the network."""
        host = self._hosts.pop(asyncio.get_running_loop(), None)
        if host is not None:
            await host.finish()
            self._counters = host.endpoint.counters

    def _host(self) -> Host:
        loop = asyncio.get_running_loop()
        host = self._hosts.get(loop)
        if host is None:
            host = self._hosts[loop] = self._make()
        return host


def early_data(options: msgspec.Struct, data: bytes) -> bytes:
    """Return the part of the first data that our stack receives before a connection is open."""
    return data if given(options).get("fast_open") else b""


def used(
    connection: Connection, options: msgspec.Struct, device: str | None = None
) -> dict[str, Scalar]:
    """Return a connection's congestion control and its values of the requested options.

    :param device: the name of the device that carries it, or ``None`` if it has no name.
    """
    names = ("congestion", *given(options))
    config = connection.config
    found: dict[str, Scalar] = {DEVICE: device} if device and DEVICE in names else {}
    if isinstance(config, MptcpConfig):
        found |= read_back(config.tcp, names)
    return found | read_back(config, names)


def look(connection: Connection) -> Look:
    """Return the present state of a connection."""
    return Look(
        t_ns=time.monotonic_ns(),
        local=str(connection.flow.local),
        remote=str(connection.flow.remote),
        view=msgspec.convert(_view(connection), View),
    )


def _view(connection: Connection) -> dict[str, Any]:
    info = connection.info()
    return {"mptcp_info" if "subflows" in info else "tcp_info": info}
