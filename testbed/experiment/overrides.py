"""The changes that the command line makes to an experiment, as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from testbed import document
from testbed.document import Data
from testbed.errors import InputError
from testbed.experiment import files
from testbed.experiment.scenario import FLOWS, TOPOLOGY_KEYS
from testbed.experiment.spec import CASE, REPETITIONS, ExperimentSpec
from testbed.hints import nearest
from testbed.machine.model import HOST
from testbed.results.model import STACK_PREFIX
from testbed.topology.load import substitute
from testbed.workload.flow import WORKLOAD
from testbed.workload.stacks.choice import read

BLOCKS: Final = 10


class Overrides(msgspec.Struct, frozen=True, kw_only=True):
    """The changes of the command line. ``values`` maps paths, as in the matrix, to YAML texts.

    :param machine: the machine for the runs.
    :param elsewhere: whether the runs use machines with other kernels than this one.
    :param virtual_time: whether the runs use machines that all have virtual clocks.
    :param until_decided: add repetitions until the claims are decided, up to ``max_repetitions``,
        which is by default :data:`BLOCKS` times the repetitions of the file.
    """

    machine: str = HOST
    elsewhere: bool = False
    virtual_time: bool = False
    stacks: Sequence[str] = ()
    repetitions: int | None = None
    until_decided: bool = False
    max_repetitions: int | None = None
    seed: int | None = None
    wire: str | None = None
    values: Sequence[tuple[str, str]] = ()


NO_OVERRIDES: Final = Overrides()


def assignment(text: str) -> tuple[str, str]:
    """Return the path and the value of ``--set PATH=VALUE``.

    :raises InputError: it has another form.
    """
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise InputError(
            f"--set {text}: is not PATH=VALUE", hint="for example links.wifi.delay=20ms"
        )
    return path, value


def overridden(raw: dict[str, Any], overrides: Overrides) -> dict[str, Any]:
    """Apply the command line to plain data. The values are checked afterwards."""
    named = {
        "stacks": chosen(raw.get("stacks") or (), overrides.stacks) or None,
        "repetitions": overrides.repetitions,
        "max_repetitions": _most(raw, overrides),
        "seed": overrides.seed,
        "wire": overrides.wire,
    }
    raw = raw | {name: value for name, value in named.items() if value is not None}
    for path, text in overrides.values:
        value = _given(raw, path, text)
        try:
            raw = _assigned(raw, path, value)
        except InputError as error:
            raise InputError(f"--set {path}: {error.message}", hint=error.hint) from None
    return raw


def _most(raw: dict[str, Any], overrides: Overrides) -> int | None:
    if not overrides.until_decided or overrides.max_repetitions is not None:
        return overrides.max_repetitions
    if raw.get("max_repetitions") is not None:
        return None  # as the file says
    block = overrides.repetitions or raw.get("repetitions") or REPETITIONS
    return BLOCKS * block if isinstance(block, int) else None


def _given(raw: Mapping[str, Any], path: str, text: str) -> Data:
    """Read a value of the command line. File names are relative to the working directory."""
    value = document.parse(text, f"--set {path}")[0]
    try:
        check = files.check_of(raw, path)
        return value if check is None else cast("Data", files.absolute(check, value, Path()))
    except InputError as error:
        raise InputError(f"--set {path}: {error}") from None  # its text has the hint


def chosen(written: Sequence[Any], wanted: Sequence[str]) -> list[Any]:
    """Return the stacks that the command line names, by a label of the file or in full."""
    labelled = {read(raw).label: raw for raw in written}
    return [labelled.get(text, text) for text in wanted]


def _assigned(raw: dict[str, Any], path: str, value: Data) -> dict[str, Any]:
    matrix, cases = _mapping(raw, "matrix"), _mapping(raw, "cases")
    if path == CASE and isinstance(value, str) and value in cases:
        return raw | {"cases": {value: cases[value]}}
    if any(path in _mapping(cases, name) for name in cases):
        changed = {name: of | {path: value} for name, of in cases.items()}
        return raw | {"cases": changed}
    if path in matrix or path.startswith(STACK_PREFIX):  # a parameter, because claims may name it
        return raw | {"matrix": matrix | {path: [value]}}
    first, *rest = [*map(str, document.split_path(path))] or [""]
    if first in TOPOLOGY_KEYS:
        return raw | {"topology": substitute(raw["topology"], path, value)}
    if first == WORKLOAD and len(rest) == 1 and raw.get(WORKLOAD):
        return raw | {WORKLOAD: _mapping(raw, WORKLOAD) | {rest[0]: value}}
    flows = _mapping(raw, FLOWS)
    if first == FLOWS and len(rest) == 2 and rest[0] in flows:
        return raw | {FLOWS: flows | {rest[0]: _mapping(flows, rest[0]) | {rest[1]: value}}}
    fields = [field.name for field in msgspec.structs.fields(ExperimentSpec)]
    if rest or first not in fields:
        hint = nearest(path if rest else first, _paths(flows, fields))
        raise InputError("does not exist in the experiment or its topology", hint=hint)
    return raw | {first: value}


def _mapping(raw: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the mapping under a name, or add an empty one.

    :raises InputError: the value is no mapping; an earlier option may have replaced it.
    """
    found = raw.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InputError(f"{name!r} is {found!r} after earlier options, not a mapping")
    return found


def _paths(flows: Iterable[str], fields: Iterable[str]) -> list[str]:
    """Return the possible first parts of a path, for a hint."""
    return [WORKLOAD, *(f"{FLOWS}.{name}" for name in flows), *TOPOLOGY_KEYS, *fields]
