"""What the shell completes: names of sandboxes, their nodes, stacks, machines and so on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def sandboxes(incomplete: str) -> Iterator[str]:
    """Yield the running sandboxes whose name begins so."""
    from testbed.sandbox import registry

    yield from (name for _, name in registry.running() if name.startswith(incomplete))


def nodes(ctx: Any, incomplete: str) -> Iterator[str]:
    """Yield the nodes of the sandbox that the command line names before."""
    import asyncio

    from testbed.errors import TestbedError
    from testbed.sandbox import Sandbox

    async def found(name: str) -> tuple[str, ...]:
        async with await Sandbox.connect(name) as sandbox:
            return (await sandbox.describe()).namespaces

    name = ctx.params.get("name")
    if not name:
        return
    try:
        names = asyncio.run(found(name))
    except (TestbedError, OSError):
        return  # a shell that completes has no place for errors
    yield from (node for node in names if node.startswith(incomplete))


def stacks(incomplete: str) -> Iterator[tuple[str, str]]:
    """Yield the stacks whose name begins so, with a line about each."""
    from testbed.workload.stacks.registry import KINDS

    for kind in KINDS.values():
        if kind.name.startswith(incomplete):
            yield kind.name, kind.summary


def machines(incomplete: str) -> Iterator[str]:
    """Yield the known machines whose name begins so, whether or not they work here."""
    from testbed.machine.registry import machines as known

    yield from (it.name for it in known() if it.name.startswith(incomplete))


def lists_of_machines(incomplete: str) -> Iterator[str]:
    """Yield lists of machines, with commas between, whose last one is completed."""
    before, comma, last = incomplete.rpartition(",")
    yield from (f"{before}{comma}{name}" for name in machines(last))


def our_stacks(incomplete: str) -> Iterator[tuple[str, str]]:
    """Yield our own stacks whose name begins so, with a line about each."""
    from testbed.workload.stacks.registry import KINDS

    yield from (it for it in stacks(incomplete) if not KINDS[it[0]].in_kernel)


def schedulers(incomplete: str) -> Iterator[tuple[str, str]]:
    """Yield the schedulers of our stack whose name begins so, with a line about each."""
    yield from _choices("scheduler", incomplete)


def path_managers(incomplete: str) -> Iterator[tuple[str, str]]:
    """Yield the path managers of our stack whose name begins so, with a line about each."""
    yield from _choices("path_manager", incomplete)


def congestion_controls(incomplete: str) -> Iterator[tuple[str, str]]:
    """Yield the congestion controls of our stacks whose name begins so, with a line about each."""
    yield from _choices("congestion", incomplete)


def _choices(option: str, incomplete: str) -> Iterator[tuple[str, str]]:
    from testbed.workload.stacks.options import OUR_NAMES

    summaries = OUR_NAMES[option].summaries()
    yield from ((name, line) for name, line in summaries.items() if name.startswith(incomplete))


def plugin_groups(incomplete: str) -> Iterator[str]:
    """Yield the groups of entry points whose name begins so."""
    from testbed.experiment.plugins import registries

    names = (registry.group.removeprefix("testbed.") for registry in registries())
    yield from (name for name in names if name.startswith(incomplete))


def metrics(incomplete: str) -> Iterator[str]:
    """Yield lists of metrics, with commas between, whose last one is completed."""
    from testbed.analysis.registry import metrics as known

    before, comma, last = incomplete.rpartition(",")
    yield from (f"{before}{comma}{name}" for name in known() if name.startswith(last))


def baselines(ctx: Any, incomplete: str) -> Iterator[str]:
    """Yield the baselines whose name begins so, in the directory that the command line names."""
    from pathlib import Path

    directory = Path(ctx.params.get("directory") or "results/baseline")
    yield from (path.stem for path in sorted(directory.glob(f"{incomplete}*.json")))


def ip_versions(incomplete: str) -> Iterator[str]:
    """Yield the versions of IP that scripts of packetdrill run over, and that begin so."""
    from testbed.interchange.packetdrill import VERSIONS

    yield from (name for name in VERSIONS if name.startswith(incomplete))
