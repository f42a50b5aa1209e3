"""Checks whether two sides may be compared. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from testbed.analysis.sides import Side
from testbed.errors import InputError
from testbed.results.environment import told

# The keys of an experiment that do not affect a single run of a cell.
_HARMLESS: Final = frozenset(
    {
        "cases",
        "description",
        "expect",
        "machines",
        "matrix",
        "max_repetitions",
        "repetitions",
        "stacks",
        "timeout",
    }
)
# The parts of an environment that affect a run in virtual time. The processor does not.
_SIMULATED: Final = ("machine",)
_VIRTUAL: Final = ("machine", "kernel", "python", "packages", "tools")
ENVIRONMENT: Final = "environment"  # all facts of the environment
EXPERIMENT: Final = "experiment"


def differences(base: Side, new: Side) -> dict[str, list[str]]:
    """Return the differences in words, by fact of the environment or ``experiment``."""
    found: dict[str, list[str]] = {}
    mine, theirs = (msgspec.to_builtins(each.environment) for each in (base, new))
    for name in _facts(base, new, mine):
        if mine[name] != theirs[name]:
            found[name] = list(told(name, mine[name], theirs[name]))
    if base.digest != new.digest:
        exact = base.deterministic and new.deterministic
        harmless = _HARMLESS if exact else _HARMLESS | {"seed"}
        said = [
            line
            for name in dict.fromkeys([*base.spec, *new.spec])
            if name not in harmless
            for line in told(name, base.spec.get(name), new.spec.get(name))
        ]
        if said:
            found[EXPERIMENT] = said
    return found


def refuse(base: Side, new: Side, across: frozenset[str]) -> None:
    """Refuse to compare sides that differ in facts other than the allowed ones.

    :param across: the facts that may differ: facts of the environment, ``environment`` for all of
        them, or ``experiment``.
    :raises InputError: other facts differ. It names all of them.
    """
    found = differences(base, new)
    allowed = set(found) - {EXPERIMENT} if ENVIRONMENT in across else set()
    refused = [name for name in found if name not in across | allowed]
    if not refused:
        return
    lines = "; ".join(line for name in refused for line in found[name])
    options = " ".join(f"--across {name}" for name in refused)
    raise InputError(
        f"{new.name} and {base.name} differ: {lines}",
        hint=f"add {options} if that is what you compare, or --force to compare anyway",
    )


def check(across: Iterable[str], side: Side) -> None:
    """Refuse unknown names of facts.

    :raises InputError: a name is unknown. It lists the known ones.
    """
    known = [ENVIRONMENT, EXPERIMENT, *_environment(side)]
    for name in across:
        if name not in known:
            raise InputError(f"--across {name}: there is no such fact", hint=", ".join(known))


def _environment(side: Side) -> list[str]:
    return [name for name in side.environment.__struct_fields__ if name != "schema"]


def _facts(base: Side, new: Side, every: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the facts of the environment that affect the numbers of both sides."""
    if base.deterministic and new.deterministic:
        return _SIMULATED if base.simulated or new.simulated else _VIRTUAL
    return tuple(name for name in every if name != "schema")
