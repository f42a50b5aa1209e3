"""``testbed watch``: a live view of a running sandbox."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from testbed.cli.options import Sandbox
from testbed.cli.output import console

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from rich.console import RenderableType

    from testbed.experiment.watching import Snapshot

_MILLION = 1e6


def command(
    name: Sandbox,
    interval: Annotated[
        str, typer.Option("--interval", "-i", metavar="TIME", help="Time between updates.")
    ] = "1s",
    once: Annotated[bool, typer.Option("--once", help="Print the state once, and end.")] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON for each update.")
    ] = False,
) -> None:
    """Show the wires and connections of a running sandbox, live.

    For each direction of a wire it shows the state, shaping, throughput, losses and queue. For each
    TCP connection and subflow of the kernel it shows the round-trip time, the congestion window,
    and the throughput since the last update. Connections of our own stack are not shown: the kernel
    does not know them. Ctrl-C ends it.

    Examples:

        testbed watch lab
        testbed watch lab --interval 200ms
        testbed watch lab --once --json
        testbed watch lab --json > looks.jsonl
    """
    import asyncio
    import contextlib

    from testbed.errors import InputError
    from testbed.units import parse_time

    interval_ns = parse_time(interval)
    if interval_ns < 10_000_000:
        raise InputError(f"--interval {interval} is too short", hint="the minimum is 10ms")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_watch(name, interval_ns, once=once, json=json))


async def _watch(name: str, interval_ns: int, *, once: bool, json: bool) -> None:
    import contextlib

    from testbed.experiment.watching import snapshots
    from testbed.sandbox import Sandbox as Running

    async with (
        await Running.connect(name) as sandbox,
        contextlib.aclosing(snapshots(sandbox, interval_ns)) as looks,
    ):
        first = await anext(looks)  # rates need an earlier snapshot
        if json:
            await _print_lines(looks, once=once)
        elif once or not sys.stdout.isatty():
            await _print_tables(name, looks, once=once)
        else:
            await _live(name, first, looks)


async def _print_tables(name: str, looks: AsyncIterator[Snapshot], *, once: bool) -> None:
    async for look in looks:
        console().print(_tables(name, look))
        if once:
            return


async def _print_lines(looks: AsyncIterator[Snapshot], *, once: bool) -> None:
    import msgspec

    async for look in looks:
        sys.stdout.write(msgspec.json.encode(look).decode() + "\n")
        sys.stdout.flush()
        if once:
            return


async def _live(name: str, first: Snapshot, looks: AsyncIterator[Snapshot]) -> None:
    from rich.live import Live

    with Live(_tables(name, first), console=console(), auto_refresh=False, screen=True) as live:
        async for look in looks:
            live.update(_tables(name, look), refresh=True)


def _tables(name: str, look: Snapshot) -> RenderableType:
    from datetime import UTC, datetime

    from rich.console import Group
    from rich.table import Table

    moment = datetime.fromtimestamp(look.time, UTC).astimezone()
    wires = Table("wire", "toward", "state", "Mbit/s", "lost", "queue", "shaping", box=None)
    for wire in look.wires:
        wires.add_row(
            wire.link,
            wire.toward,
            wire.state,
            _mbit(wire.throughput),
            str(wire.lost),
            f"{wire.queued_packets} ({wire.queued_bytes} B)",
            wire.netem,
        )
    flows = Table("node", "local", "remote", "socket", "RTT", "cwnd", "sent", "received", box=None)
    for flow in look.flows:
        token = "" if flow.token is None else f" {flow.token:08x}"
        flows.add_row(
            flow.node,
            flow.local,
            flow.remote,
            f"{flow.protocol}{token} {flow.process}",
            "" if flow.rtt is None else f"{flow.rtt * 1000:.1f} ms",
            "" if flow.cwnd is None else str(flow.cwnd),
            f"{_mbit(flow.sent)} Mbit/s",
            f"{_mbit(flow.received)} Mbit/s",
        )
    return Group(f"{name}, {moment:%H:%M:%S}", wires, flows)


def _mbit(rate: float) -> str:
    return f"{rate / _MILLION:.2f}"
