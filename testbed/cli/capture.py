"""``testbed capture``: packets of an interface of a running sandbox."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from testbed.cli import completion
from testbed.cli.options import Json, Sandbox
from testbed.cli.output import print_json
from testbed.text import clean

if TYPE_CHECKING:
    from testbed.probe.capture.job import Ended, Job

_STDOUT = "-"


Place = Annotated[
    str,
    typer.Argument(
        metavar="NODE[.INTERFACE]",
        help="An interface, or a node for all of its interfaces.",
        autocompletion=completion.places,
    ),
]
Write = Annotated[
    str | None,
    typer.Option(
        "--write",
        "-w",
        metavar="FILE",
        help="Write pcapng (-: to standard output); default: print a line for each packet.",
    ),
]
Count = Annotated[
    int | None, typer.Option("--count", "-c", min=1, help="End after this number of packets.")
]
Duration = Annotated[
    str | None, typer.Option(metavar="TIME", help="End after this time, for example 10s.")
]
Snaplen = Annotated[
    int,
    typer.Option(
        "--snaplen",
        "-s",
        min=64,
        max=262_144,
        help="Largest number of octets kept of a packet.",
    ),
]
Host = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Only packets from or to this address.")
]
Port = Annotated[
    int | None,
    typer.Option(min=1, max=65535, help="Only TCP and UDP packets from or to this port."),
]


def command(
    name: Sandbox,
    place: Place,
    write: Write = None,
    count: Count = None,
    duration: Duration = None,
    snaplen: Snaplen = 262_144,
    host: Host = None,
    port: Port = None,
    json: Json = False,
) -> None:
    """Capture the packets of an interface of a running sandbox.

    It needs neither root nor tcpdump. It ends with Ctrl-C, after --count or --duration, or when the
    program that reads its output has ended. All packets that came before its end are written. The
    interfaces of @wire are the middle ends of wires: w0a belongs to link number 0, on the side of
    its first node.

    Examples:

        testbed capture lab client.wifi
        testbed capture lab client -w client.pcapng --duration 10s
        testbed capture lab client.wifi -w - | wireshark -k -i -
        testbed capture lab client.wifi -w - | tshark -r - -Y tcp.options.mptcp.subtype==1
        testbed capture lab server --port 5001 -c 20
    """
    import asyncio

    from testbed.probe.capture.job import Job
    from testbed.probe.capture.selection import Selection
    from testbed.units import parse_time

    selection = Selection(host=host, port=port, snaplen=snaplen)
    selection.program()  # raises the error
    job = Job(
        selection=selection,
        count=count,
        duration_s=None if duration is None else parse_time(duration) / 1e9,
        form="text" if write is None else "pcapng",
    )
    _check_json(json, write)
    with _output(write) as output:
        ended = asyncio.run(_capture(name, place, job, output))
    if json:
        print_json({"file": write, "captured": ended.captured, "dropped": ended.dropped})
    else:
        print(f"{ended.captured} packets captured, {ended.dropped} dropped", file=sys.stderr)


async def _capture(name: str, place: str, job: Job, output: int) -> Ended:
    import asyncio
    import signal

    import msgspec

    from testbed.probe.capture.client import capture
    from testbed.sandbox import Sandbox

    stop = asyncio.Event()
    async with await Sandbox.connect(name) as sandbox:
        description = await sandbox.describe()
        node, interfaces = _parsed(place, description.namespaces)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        return await capture(
            sandbox,
            node,
            msgspec.structs.replace(job, interfaces=interfaces),
            output,
            stop=stop,
            on_listening=lambda names: _tell(node, names),
        )


def _parsed(place: str, nodes: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Return the node and the interfaces that a place names. Both names may contain dots."""
    from testbed.errors import InputError
    from testbed.hints import nearest

    if place in nodes:
        return place, ()
    for at, letter in enumerate(place):
        if letter == "." and place[:at] in nodes and place[at + 1 :]:
            return place[:at], (place[at + 1 :],)
    node = place.partition(".")[0]
    raise InputError(f"there is no node {node!r}", hint=nearest(node, nodes))


def _check_json(json: bool, write: str | None) -> None:
    from testbed.errors import InputError

    if json and write in (None, _STDOUT):
        raise InputError("--json needs a file: packets go to standard output", hint="add -w FILE")


@contextlib.contextmanager
def _output(write: str | None) -> Iterator[int]:
    """Open the output for packets, and yield its descriptor.

    :raises InputError: it cannot be opened, or pcapng would go to a terminal.
    """
    from testbed.errors import InputError

    if write == _STDOUT and sys.stdout.isatty():
        raise InputError(
            "pcapng cannot be written to a terminal", hint="pipe it into wireshark -k -i -"
        )
    if write in (None, _STDOUT):
        yield sys.stdout.fileno()
        return
    try:
        descriptor = os.open(str(write), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    except OSError as error:
        raise InputError(f"{write} cannot be written: {error.strerror}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _tell(node: str, interfaces: Sequence[str]) -> None:
    names = ", ".join(f"{node}.{each}" for each in interfaces)
    print(clean(f"capturing on {names}; Ctrl-C ends it"), file=sys.stderr)
