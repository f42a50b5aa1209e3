"""``testbed doctor``: what this machine can do, or why a sandbox has no second subflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from testbed import compiled
from testbed.cli import completion
from testbed.cli.options import Json
from testbed.cli.output import console, print_json, yes_or_no

if TYPE_CHECKING:
    from testbed.doctor import Diagnosis
    from testbed.sandbox.model import Feature


Name = Annotated[
    str | None, typer.Argument(help="A running sandbox.", autocompletion=completion.sandboxes)
]
Client = Annotated[
    str | None, typer.Argument(help="The node that connects.", autocompletion=completion.nodes)
]
Server = Annotated[
    str | None,
    typer.Argument(help="The node that accepts.", autocompletion=completion.nodes),
]
Address = Annotated[
    str | None, typer.Option("--address", help="The server's address for the connection.")
]
Ipv6 = Annotated[bool, typer.Option("-6", help="Look at IPv6 instead of IPv4.")]


def command(
    name: Name = None,
    client: Client = None,
    server: Server = None,
    address: Address = None,
    ipv6: Ipv6 = False,
    json: Json = False,
) -> None:
    """Check this machine, or the MPTCP of a running sandbox.

    Without arguments it tries each feature that testbed uses, in temporary namespaces. A table
    shows the purpose of each feature. Below it are the consequences of missing features, the build
    of our own stack, and the machines for runs.

    With the name of a running sandbox it compares the observed state (endpoints, limits, routes by
    source, listeners, sysctls, MIB counters) with the needs of the kernel's path manager for a
    second subflow. By default the client is the first host, and the server the last. The exit code
    is 1 if something prevents a second subflow.

    Examples:

        testbed doctor
        testbed up topologies/two_paths.yaml --name lab
        testbed doctor lab client server
        testbed doctor lab --json
    """
    import asyncio

    if name is None:
        _check_machine(asyncio.run(_features()), json=json)
        return
    diagnosis = asyncio.run(_diagnose(name, client, server, address, ipv6=ipv6))
    if json:
        print_json(diagnosis)
    else:
        _print_diagnosis(diagnosis, name)
    if not diagnosis.healthy:
        raise typer.Exit(1)


def _check_machine(features: tuple[Feature, ...], *, json: bool) -> None:
    from testbed.cli.machine import print_rows, rows

    build = compiled.status()
    if json:
        print_json({"build": build._asdict(), "features": features, "machines": rows()})
        return
    _print_features(features)
    console().print(f"\nour own stack: {build.build}: {build.why}", soft_wrap=True)
    console().print()
    print_rows(rows())


async def _features() -> tuple[Feature, ...]:
    from testbed.sandbox import Sandbox

    async with await Sandbox.create() as sandbox:
        return await sandbox.features()


async def _diagnose(
    name: str, client: str | None, server: str | None, address: str | None, *, ipv6: bool
) -> Diagnosis:
    from testbed.doctor import diagnose, first_pair
    from testbed.doctor.observed import observed_topology
    from testbed.errors import InputError
    from testbed.sandbox import Sandbox
    from testbed.topology.model import Family

    async with await Sandbox.connect(name) as sandbox:
        description = await sandbox.describe()
        observation = await sandbox.observe()
        wires = await sandbox.wires()
    if description.topology is None:
        raise InputError(
            f"the sandbox {name!r} has no topology", hint="build one with testbed up FILE"
        )
    topology = observed_topology(description.topology, observation, wires)
    first, last = first_pair(topology)
    return diagnose(
        topology,
        observation.namespaces,
        client or first,
        server or last,
        family=Family.IPV6 if ipv6 else Family.IPV4,
        dialled=address,
    )


def _print_features(features: tuple[Feature, ...]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("feature", "", "purpose"):
        table.add_column(title, overflow="fold")
    for feature in features:
        table.add_row(feature.name, yes_or_no(feature.present), feature.why)
    console().print(table)
    for feature in features:
        if not feature.present:
            console().print(f"\n{feature.name}: {feature.detail}", soft_wrap=True)
            console().print(f"  {feature.instead}", soft_wrap=True)


def _print_diagnosis(diagnosis: Diagnosis, sandbox: str) -> None:
    from rich.text import Text

    out = console()
    out.print(
        f"{diagnosis.client} -> {diagnosis.server} ({diagnosis.dialled}): "
        f"{len(diagnosis.subflows)} subflow{'s' * (len(diagnosis.subflows) != 1)} possible, "
        f"{diagnosis.joined} joined so far"
    )
    for subflow in diagnosis.subflows:
        port = f" port {subflow.port}" if subflow.port else ""
        addresses = f"{subflow.source} -> {subflow.destination}{port}"
        out.print(Text("  can be set up", "green"), addresses, sep="  ")
    for finding in diagnosis.findings:
        seen = f"at {finding.node}: {finding.seen}"
        out.print(Text(f"  {finding.cause}", "red"), seen, soft_wrap=True)
        remedy = finding.remedy.replace("SANDBOX", sandbox)
        out.print(f"      try: {remedy}", soft_wrap=True)
    if diagnosis.findings:
        out.print(
            f"to run a command in a node: testbed exec {sandbox} NODE -- COMMAND", soft_wrap=True
        )
