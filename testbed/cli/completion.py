"""Completions for the shell: names of sandboxes, their nodes, stacks, machines and so on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from testbed.sandbox import Description, NamespaceState, Sandbox
    from testbed.topology.model import Link

T = TypeVar("T")

# Flags of existing endpoints.
CHANGED_FLAGS: Final = ("backup", "nobackup", "fullmesh", "nofullmesh")


def sandboxes(incomplete: str) -> Iterator[str]:
    """Yield the running sandboxes whose names begin with a text."""
    from testbed.sandbox import registry

    yield from (name for _, name in registry.running() if name.startswith(incomplete))


def nodes(ctx: Any, incomplete: str) -> Iterator[str]:
    """Yield the nodes of the sandbox on the command line."""
    found = _described(ctx)
    yield from _beginning(found.namespaces if found else (), incomplete)


def hosts(ctx: Any, incomplete: str) -> Iterator[str]:
    """Yield the hosts and routers of the sandbox on the command line."""
    yield from (name for name in nodes(ctx, incomplete) if not name.startswith("@"))


def links(ctx: Any, incomplete: str) -> Iterator[str]:
    """Yield the links of the sandbox on the command line."""
    yield from _beginning((link.name for link in _links(ctx)), incomplete)


def ends(ctx: Any, incomplete: str) -> Iterator[str]:
    """Yield the two nodes of the link on the command line."""
    chosen = (link for link in _links(ctx) if link.name == ctx.params.get("link"))
    names = (end.node for link in chosen for end in (link.a, link.b))
    yield from _beginning(names, incomplete)


def interfaces(ctx: Any, incomplete: str) -> Iterator[str]:
    """Yield the interfaces of the node on the command line."""
    state = _observed(ctx)
    names = (link.name for link in state.links if link.name != "lo") if state else ()
    yield from _beginning(names, incomplete)


def places(ctx: Any, incomplete: str) -> Iterator[str]:
    """Yield the nodes of the sandbox, and NODE.INTERFACE of each end of a link."""
    names = (f"{end.node}.{end.name}" for link in _links(ctx) for end in (link.a, link.b))
    yield from hosts(ctx, incomplete)
    yield from _beginning(names, incomplete)


def addresses(ctx: Any, incomplete: str) -> Iterator[str]:
    """Yield the addresses of the node on the command line."""
    state = _observed(ctx)
    found = (each.address for each in state.addresses if each.interface != "lo") if state else ()
    yield from _beginning(found, incomplete)


def endpoints(ctx: Any, incomplete: str) -> Iterator[str]:
    """Yield names of the endpoints of a node: interfaces, addresses and ids."""
    yield from interfaces(ctx, incomplete)
    state = _observed(ctx)
    if state and ctx.params.get("verb") != "add":
        names = (name for each in state.endpoints for name in (each.address, str(each.id)))
        yield from _beginning(names, incomplete)


def endpoint_flags(ctx: Any, incomplete: str) -> Iterator[str]:
    """Yield the flags for a new endpoint, or those that can be changed."""
    from typing import get_args

    from testbed.topology.spec import FlagName

    known = get_args(FlagName) if ctx.params.get("verb") == "add" else CHANGED_FLAGS
    yield from _beginning(known, incomplete)


def wire_options(incomplete: str) -> Iterator[str]:
    """Yield the options of a wire, each with its equals sign."""
    from testbed.wire.netem import OPTIONS

    yield from _beginning((f"{option}=" for option in OPTIONS), incomplete)


def _beginning(names: Iterable[str], incomplete: str) -> Iterator[str]:
    yield from (name for name in names if name.startswith(incomplete))


def _links(ctx: Any) -> tuple[Link, ...]:
    found = _described(ctx)
    return found.topology.links if found and found.topology else ()


def _described(ctx: Any) -> Description | None:
    """Return the description of the sandbox on the command line, or None without an answer."""
    return _ask(ctx, lambda sandbox: sandbox.describe())


def _observed(ctx: Any) -> NamespaceState | None:
    """Return the state of the node on the command line, or None if it does not exist."""
    node = ctx.params.get("node")
    seen = _ask(ctx, lambda sandbox: sandbox.observe([node])) if node else None
    return seen.namespaces.get(node) if seen else None


def _ask(ctx: Any, question: Callable[[Sandbox], Awaitable[T]]) -> T | None:
    import asyncio

    from testbed.errors import TestbedError
    from testbed.sandbox import Sandbox

    async def asked(name: str) -> T:
        async with await Sandbox.connect(name) as sandbox:
            return await question(sandbox)

    name = ctx.params.get("name")
    if not name:
        return None
    try:
        return asyncio.run(asked(name))
    except (TestbedError, OSError):
        return None  # a completing shell cannot show errors


def stacks(incomplete: str) -> Iterator[tuple[str, str]]:
    """Yield the stacks whose names begin with a text, with a description."""
    from testbed.workload.stacks.registry import KINDS

    for kind in KINDS.values():
        if kind.name.startswith(incomplete):
            yield kind.name, kind.summary


def machines(incomplete: str) -> Iterator[str]:
    """Yield the known machines whose names begin with a text, even if they do not work here."""
    from testbed.machine.registry import machines as known

    yield from (it.name for it in known() if it.name.startswith(incomplete))


def lists_of_machines(incomplete: str) -> Iterator[str]:
    """Yield comma-separated lists of machines with the last name completed."""
    before, comma, last = incomplete.rpartition(",")
    yield from (f"{before}{comma}{name}" for name in machines(last))


def our_stacks(incomplete: str) -> Iterator[tuple[str, str]]:
    """Yield our own stacks whose names begin with a text, with a description."""
    from testbed.workload.stacks.registry import KINDS

    yield from (it for it in stacks(incomplete) if not KINDS[it[0]].in_kernel)


def plugin_groups(incomplete: str) -> Iterator[str]:
    """Yield the groups of entry points whose names begin with a text."""
    from testbed.experiment.plugins import registries

    names = (registry.group.removeprefix("testbed.") for registry in registries())
    yield from (name for name in names if name.startswith(incomplete))


def metrics(incomplete: str) -> Iterator[str]:
    """Yield comma-separated lists of metrics with the last name completed."""
    from testbed.analysis.registry import metrics as known

    before, comma, last = incomplete.rpartition(",")
    yield from (f"{before}{comma}{name}" for name in known() if name.startswith(last))


def baselines(ctx: Any, incomplete: str) -> Iterator[str]:
    """Yield the matching baselines in the directory on the command line."""
    from pathlib import Path

    directory = Path(ctx.params.get("directory") or "results/baseline")
    yield from (path.stem for path in sorted(directory.glob(f"{incomplete}*.json")))


def ip_versions(incomplete: str) -> Iterator[str]:
    """Yield the matching versions of IP for packetdrill scripts."""
    from testbed.interchange.packetdrill import VERSIONS

    yield from (name for name in VERSIONS if name.startswith(incomplete))


def papers(ctx: Any, incomplete: str) -> Iterator[str]:
    """Yield the matching publications in the folder on the command line."""
    from pathlib import Path

    root = Path(ctx.params.get("root") or "experiments/papers")
    found = sorted(root.glob(f"{incomplete}*/published.yaml"))
    yield from (path.parent.name for path in found)
