"""`testbed plugins`: the components that other packages add."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from testbed.cli import completion
from testbed.cli.options import Json
from testbed.cli.output import console, print_json
from testbed.text import clean

if TYPE_CHECKING:
    from testbed.registry import Registry


def command(
    groups: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[GROUP...]", help="Only these groups.", autocompletion=completion.plugin_groups
        ),
    ] = None,
    json: Json = False,
) -> None:
    """List the components that other packages add by entry points.

    The list has the package and version of each component. Each is imported, to check that it
    works. If one cannot be used, the command says why, and the exit code is 2. Experiments that do
    not name this component still run.

        testbed plugins

        testbed plugins schedulers probes --json
    """
    from testbed.errors import InputError
    from testbed.experiment.plugins import registries
    from testbed.hints import nearest

    known = {_short(registry): registry for registry in registries()}
    for group in groups or ():
        if group not in known:
            raise InputError(f"there is no group {group!r}", hint=nearest(group, known))
    chosen = [known[group] for group in groups or known]
    wrong = [error for registry in chosen for error in _broken(registry)]
    if json:
        print_json(
            {
                "groups": {registry.group: _described(registry) for registry in chosen},
                "errors": [str(error) for error in wrong],
            }
        )
    else:
        _print(chosen)
        for error in wrong:
            typer.echo(clean(f"testbed: {error}"), err=True)
    if wrong:
        raise typer.Exit(2)


def _short(registry: Registry[Any]) -> str:
    return registry.group.removeprefix("testbed.")


def _broken(registry: Registry[Any]) -> tuple[Any, ...]:
    from testbed.analysis import registry as metrics

    return tuple(metrics.broken()) if registry is metrics.REGISTRY else registry.broken()


def _described(registry: Registry[Any]) -> dict[str, Any]:
    return {
        "own": registry.own(),
        "plugins": [
            {
                "name": plugin.name,
                "value": plugin.value,
                "distribution": plugin.distribution,
                "version": plugin.version,
                "works": registry.origin(plugin.name) == plugin,
            }
            for plugin in registry.plugins()
        ],
    }


def _print(registries: list[Registry[Any]]) -> None:
    from rich.text import Text

    out = console()
    for registry in registries:
        out.print(Text(registry.group, "bold"))
        out.print(f"  testbed: {', '.join(registry.own())}")
        for plugin in registry.plugins():
            package = f"{plugin.distribution} {plugin.version}"
            out.print(f"  {package}: {plugin.name}  ({plugin.value})", soft_wrap=True)
