"""``testbed up``: build a topology and leave it running."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from testbed.cli.options import Json, TopologyFile, WireSeed
from testbed.cli.output import console, print_json


def command(
    file: TopologyFile,
    name: Annotated[
        str | None,
        typer.Option("--name", "-n", help="Name of the sandbox; default: the file's name."),
    ] = None,
    engine: Annotated[
        Literal["auto", "netem", "emulator"],
        typer.Option("--wire", help="The engine of the wires."),
    ] = "auto",
    seed: WireSeed = 0,
    json: Json = False,
) -> None:
    """Build a topology and leave it running in the background.

    The network is in namespaces of its own, and the network of this machine is not changed.
    "testbed down" ends it. If the command fails or is interrupted, nothing remains.

    Examples:

        testbed up topologies/two_paths.yaml
        testbed up topologies/two_paths.yaml --name lab --wire emulator
        testbed exec lab client -- ip -br address
        testbed down lab
    """
    import asyncio
    import sys

    from testbed import shipped
    from testbed.sandbox import Execution, Sandbox, hooks
    from testbed.topology.load import load_topology
    from testbed.topology.plan import planned

    wanted = planned(
        load_topology(shipped.located(file, shipped.TOPOLOGIES)), engine=engine, seed=seed
    )

    async def build() -> None:
        sandbox = await Sandbox.create(file.stem if name is None else name)
        try:
            execution = await sandbox.execute(wanted)
            await hooks.set_up(sandbox, wanted.topology, [])
            tell(sandbox.name, execution)
            sys.stdout.flush()  # an error that cannot be printed ends it as well
            await sandbox.detach()
        finally:
            await sandbox.close()

    def tell(name: str, execution: Execution) -> None:
        if json:
            print_json({"name": name, "topology": wanted.topology.name, "execution": execution})
        else:
            console().print(f"{name} is up; testbed down {name} ends it")

    asyncio.run(build())
