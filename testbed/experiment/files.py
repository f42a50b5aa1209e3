"""The files that an experiment names: absolute names, and a check that reads each once.

They are traces of links, and files of workloads, such as pages. Names are relative to the
experiment file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from testbed import document
from testbed.document import Document
from testbed.errors import InputError
from testbed.experiment.scenario import FLOWS
from testbed.experiment.spec import ExperimentSpec
from testbed.wire import trace
from testbed.workload.flow import WORKLOAD
from testbed.workload.kinds import KINDS, TAG

_TRACE: Final = "trace"

Check = Callable[[Path], object]  # reads a file; raises InputError
_Change = Callable[[Check, Any, str], Any]  # takes a value and its path; returns another value


def located(written: Document[ExperimentSpec], folder: Path) -> dict[str, Any]:
    """Return an experiment's plain data with the absolute names of its files.

    Workloads, events, the matrix and cases may name files. :func:`testbed.topology.load.located`
    handles the files of the topology.

    :param folder: the folder of the experiment file.
    :raises InputError: a file cannot be read; with file and line of each.
    """
    errors: list[InputError] = []

    def file(check: Check, name: Any, place: str) -> Any:
        try:
            return absolute(check, name, folder)
        except InputError as error:
            errors.extend(written.error(str(each), place) for each in error.every)
            return name

    changed = _changed(dict(written.raw) if isinstance(written.raw, Mapping) else {}, file)
    if errors:
        raise InputError.together(errors)
    return changed


def _changed(raw: dict[str, Any], change: _Change) -> dict[str, Any]:
    """Return plain data in which each name of a file is changed."""
    changed = dict(raw)
    if raw.get("events"):
        changed["events"] = [
            _event(event, f"events[{index}]", change) for index, event in enumerate(raw["events"])
        ]
    if raw.get("matrix"):
        changed["matrix"] = {
            path: [change(check, value, document.join_path("matrix", path)) for value in values]
            if (check := check_of(raw, path))
            else values
            for path, values in raw["matrix"].items()
        }
    if raw.get("cases"):
        changed["cases"] = {
            name: _parameters(raw, case, document.join_path("cases", name), change)
            for name, case in raw["cases"].items()
        }
    if raw.get("expect"):
        changed["expect"] = [
            _claim(raw, claim, f"expect[{index}]", change)
            for index, claim in enumerate(raw["expect"])
        ]
    if raw.get(WORKLOAD):
        changed[WORKLOAD] = _workload(raw[WORKLOAD], (WORKLOAD,), change)
    if raw.get(FLOWS):
        changed[FLOWS] = {
            name: _workload(flow, (FLOWS, name), change) for name, flow in raw[FLOWS].items()
        }
    return changed


def _parameters(
    raw: dict[str, Any], given: dict[str, Any], place: str, change: _Change
) -> dict[str, Any]:
    """Return values of parameters, by their paths, in which each name of a file is changed."""
    return {
        path: change(check, value, place) if (check := check_of(raw, path)) else value
        for path, value in given.items()
    }


def _claim(raw: dict[str, Any], claim: Any, place: str, change: _Change) -> Any:
    """Return a claim, with each name of a file changed in its ``where`` and ``relative_to``."""
    if not isinstance(claim, Mapping):
        return claim
    named = {"relative_to": _claim(raw, claim.get("relative_to"), place, change)}
    if claim.get("where"):
        named["where"] = _parameters(raw, claim["where"], place, change)
    return {**claim, **{key: value for key, value in named.items() if key in claim}}


def _event(event: dict[str, Any], place: str, change: _Change) -> dict[str, Any]:
    options = event.get("set") or {}
    if _TRACE not in options:
        return event
    return event | {"set": options | {_TRACE: change(trace.load, options[_TRACE], place)}}


def _workload(workload: dict[str, Any], keys: tuple[str, ...], change: _Change) -> dict[str, Any]:
    named = {
        name: change(check, workload[name], document.join_path(*keys, name))
        for name, check in _checks(workload).items()
        if name in workload
    }
    return {**workload, **named}


def _checks(workload: Any) -> Mapping[str, Check]:
    """Return the keys of a workload that name files."""
    kind = workload.get(TAG) if isinstance(workload, Mapping) else None
    if not isinstance(kind, str):
        return {}
    try:
        checks: Mapping[str, Check] = KINDS.find(kind).spec.files
    except InputError:  # the package is not installed
        return {}
    return checks


def absolute(check: Check, name: Any, folder: Path) -> Any:
    """Return the absolute name of a file in a folder; return other values unchanged.

    :raises InputError: it cannot be read.
    """
    if not isinstance(name, str) or name == "none":
        return name
    path = (folder / name).absolute()
    check(path)
    return str(path)


def named(raw: dict[str, Any]) -> list[str]:
    """Return all files that an experiment's plain data (with its topology) names, each once."""
    found = dict.fromkeys(_traces(raw.get("topology")))

    def note(_: Check, name: Any, __: str) -> Any:
        if isinstance(name, str) and name != "none":
            found[name] = None
        return name

    _changed(raw, note)
    return list(found)


def from_copies(raw: dict[str, Any], copies: Mapping[str, Path]) -> dict[str, Any]:
    """Return plain data in which copies replace files that are missing or have changed.

    Names in the matrix, cases and claims stay, because they identify a cell.

    :param copies: the copies of the files that the data names.
    """
    gone = {name: str(copy) for name, copy in copies.items() if not _alike(Path(name), copy)}

    def copied(_: Check, name: Any, place: str) -> Any:
        first = document.split_path(place)[0]
        return name if first in ("matrix", "cases", "expect") else gone.get(name, name)

    if not gone:
        return raw
    changed = _changed(raw, copied)
    return changed | {"topology": _with_traces(changed.get("topology"), gone)}


def _alike(file: Path, copy: Path) -> bool:
    try:
        return file.read_bytes() == copy.read_bytes()
    except OSError:
        return False


def _with_traces(data: Any, others: Mapping[str, str]) -> Any:
    """Return a part of a topology with other names for the traces of links."""
    if isinstance(data, Mapping):
        return {
            key: others.get(value, value)
            if key == _TRACE and isinstance(value, str)
            else _with_traces(value, others)
            for key, value in data.items()
        }
    return [_with_traces(each, others) for each in data] if isinstance(data, list) else data


def _traces(data: Any) -> Iterator[str]:
    """Yield the traces that links name."""
    if isinstance(data, Mapping):
        for key, value in data.items():
            if key == _TRACE and isinstance(value, str) and value != "none":
                yield value
            else:
                yield from _traces(value)
    elif isinstance(data, list | tuple):
        for each in data:
            yield from _traces(each)


def check_of(raw: Mapping[str, Any], path: str) -> Check | None:
    """Return the check for the file that a path of an experiment or its topology names.

    :param raw: the plain data of the experiment. :returns: the check, or ``None`` if the path names
        no file.
    """
    if not path:
        return None
    *keys, last = document.split_path(path)
    if last == _TRACE:
        return trace.load
    if len(keys) == 1 + (keys[:1] == [FLOWS]):
        workload: Any = raw
        for key in keys:
            workload = workload.get(key) if isinstance(workload, Mapping) else None
        return _checks(workload).get(str(last))
    return None
