"""``testbed status``: the running sandboxes, or the state of one of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from testbed.cli import completion
from testbed.cli.options import Json
from testbed.cli.output import console, print_json

if TYPE_CHECKING:
    from rich.table import Table

    from testbed.sandbox import Description, Observation
    from testbed.sandbox.observation import LinkState, NamespaceState
    from testbed.topology.model import Topology
    from testbed.wire.report import Wire, WireReport


_BORN = frozenset(
    ("tunl0", "gre0", "gretap0", "erspan0", "sit0", "ip6tnl0", "ip6gre0", "ip_vti0", "ip6_vti0")
)


class Status(msgspec.Struct, frozen=True):
    """A sandbox and its observed state."""

    description: Description
    wires: WireReport | None  # None if the sandbox does not answer
    observation: Observation


def command(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A running sandbox; default: list all.", autocompletion=completion.sandboxes
        ),
    ] = None,
    json: Json = False,
) -> None:
    """List the running sandboxes, or show one of them.

    For one sandbox it shows nodes, interfaces, addresses, MPTCP endpoints, wires and their
    counters. It reads the state of the kernel, not the topology file, so it shows every change.

    Examples:

        testbed status
        testbed status lab
        testbed status lab --json
    """
    import asyncio

    if name is None:
        descriptions = asyncio.run(_list())
        print_json(descriptions) if json else _print_list(descriptions)
        return
    status = asyncio.run(_show(name))
    print_json(status) if json else _print(status)


async def _list() -> list[Description]:
    from testbed.errors import NoSuchSandboxError
    from testbed.sandbox import Sandbox

    found = []
    for name in Sandbox.running():
        try:
            async with await Sandbox.connect(name) as sandbox:
                found.append(await sandbox.describe())
        except NoSuchSandboxError:
            continue  # the process ended after the listing
    return found


async def _show(name: str) -> Status:
    from testbed.sandbox import Sandbox

    async with await Sandbox.connect(name) as sandbox:
        description = await sandbox.describe()
        wires = None if description.fault else await sandbox.wires()
        return Status(description, wires, await sandbox.observe())


def _print_list(descriptions: list[Description]) -> None:
    from rich.table import Table

    if not descriptions:
        console().print("no sandbox is running")
        return
    table = Table("name", "topology", "nodes", "wires", "since", "ends with", box=None)
    for each in descriptions:
        table.add_row(
            each.name,
            each.topology.name if each.topology else "",
            str(len(each.namespaces) - 1),
            ", ".join(sorted(set(each.engine.values()))),
            _when(each.started_at),
            "testbed down" if each.background else "its creator",
        )
    console().print(table)


def _print(status: Status) -> None:
    description = status.description
    built = description.topology.name if description.topology else "no topology"
    console().print(f"{description.name}: {built}, since {_when(description.started_at)}")
    if description.fault:
        console().print(f"FAULT: {description.fault}")
    console().print(_interfaces(status.observation))
    endpoints = _endpoints(status.observation)
    if endpoints.row_count:
        console().print(endpoints)
    if status.wires is not None and status.wires.wires:
        console().print(_wires(status.wires, description))
        if status.wires.boxes:
            console().print(_boxes(status.wires))


def _interfaces(observation: Observation) -> Table:
    from rich.table import Table

    rows = []
    for state in observation.namespaces.values():
        for link in state.links:
            if link.name == "lo" or state.name.startswith("@") or _is_of_the_kernel(link):
                continue
            addresses = [a.address for a in state.addresses if a.interface == link.name]
            shown = "up" if link.up and link.carrier else "no carrier" if link.up else "down"
            numbers = (str(link.rx_packets), str(link.tx_packets))
            stands = _stands_on(link, state)
            rows.append((state.name, link.name, shown, " ".join(addresses), *numbers, stands))
    heads = ["node", "interface", "state", "addresses", "packets in", "out", "made of"]
    if not any(row[-1] for row in rows):
        heads.pop()
    table = Table(*heads, box=None)
    for row in rows:
        table.add_row(*row[: len(heads)])
    return table


def _is_of_the_kernel(link: LinkState) -> bool:
    """Return whether it is a tunnel that the kernel adds to each new namespace."""
    return not link.up and link.name in _BORN


def _stands_on(link: LinkState, state: NamespaceState) -> str:
    """Return the device of an interface, or its VRF, in the syntax of ip-link(8)."""
    if link.device is not None:
        return str(link.device)
    if link.name in state.wireguard:
        peered = state.wireguard[link.name]
        return f"type wireguard peer {peered.endpoint} port {peered.port}"
    vrfs = [each.name for each in state.links if each.kind == "vrf"]
    return f"master {link.master}" if link.master in vrfs else ""


def _endpoints(observation: Observation) -> Table:
    from rich.table import Table

    table = Table("node", "endpoint", "id", "flags", "subflows", "accepts", box=None)
    for state in observation.namespaces.values():
        for each in state.endpoints:
            limits = state.limits
            port = "" if each.port is None else f" port {each.port}"
            table.add_row(
                state.name,
                each.address + port,
                str(each.id),
                " ".join(each.flags),
                str(limits.subflows) if limits else "",
                str(limits.add_addr_accepted) if limits else "",
            )
    return table


def _wires(report: WireReport, description: Description) -> Table:
    from rich.table import Table

    each = [wire.counters for wire in report.wires]
    numbers = {
        "forwarded": [it.forwarded_packets for it in each],
        "lost": [it.dropped_loss for it in each],
        "full": [it.dropped_limit for it in each],
        "early": [it.dropped_early for it in each],
        "marked": [it.marked for it in each],
        "queued": [it.queued_packets for it in each],
    }
    for rare in ("early", "marked"):  # zero for most wires
        if not any(numbers[rare]):
            del numbers[rare]
    links = description.topology.links if description.topology else ()
    shared = {link.name for link in links if link.half_duplex}
    table = Table(box=None)
    for head in ("wire", "toward", "state", "engine", *numbers):
        table.add_column(head, no_wrap=True)
    table.add_column("shaping")
    for n, wire in enumerate(report.wires):
        table.add_row(
            wire.link,
            _node_toward(wire, description.topology),
            description.states.get(wire.link, "up"),
            wire.engine,
            *(str(column[n]) for column in numbers.values()),
            ", ".join(filter(None, (wire.netem.to_tc(), "half duplex" * (wire.link in shared)))),
        )
    return table


def _boxes(report: WireReport) -> Table:
    from rich.table import Table

    table = Table("link", "middlebox", "came", "left", "changed", box=None)
    for link, row in report.boxes.items():
        for each in row:
            numbers = (each.came, each.left, each.changed)
            table.add_row(link, each.kind, *map(str, numbers))
    return table


def _node_toward(wire: Wire, topology: Topology | None) -> str:
    """Return the node that a direction of a wire leads to, or the side without a topology."""
    ends = {each.name: {"a": each.a, "b": each.b} for each in topology.links} if topology else {}
    return ends[wire.link][wire.toward].node if wire.link in ends else wire.toward


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
