"""Traces that an experiment names: files beside it, made absolute and read once to check them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from testbed import document
from testbed.document import Document
from testbed.errors import InputError
from testbed.experiment.spec import ExperimentSpec
from testbed.wire import trace

_KEY: Final = "trace"


def located(written: Document[ExperimentSpec], folder: Path) -> dict[str, Any]:
    """Return an experiment's plain data with the absolute names of its traces.

    Events, the matrix and cases may name traces.  Those of the topology are found with it
    (:func:`testbed.topology.load.located`).

    :param folder: where the experiment file lies.
    :raises InputError: a trace cannot be read, with file and line.
    """
    raw: dict[str, Any] = dict(written.raw) if isinstance(written.raw, Mapping) else {}

    def file(name: Any, place: str) -> Any:
        try:
            return absolute(name, folder)
        except InputError as error:
            raise written.error(str(error), place, error.hint) from None

    if raw.get("events"):
        raw["events"] = [
            _event(event, lambda name, index=index: file(name, f"events[{index}]"))
            for index, event in enumerate(raw["events"])
        ]
    if raw.get("matrix"):
        raw["matrix"] = {
            path: [file(value, document.join_path("matrix", path)) for value in values]
            if is_trace(path)
            else values
            for path, values in raw["matrix"].items()
        }
    if raw.get("cases"):
        raw["cases"] = {
            name: {
                path: file(value, document.join_path("cases", name)) if is_trace(path) else value
                for path, value in case.items()
            }
            for name, case in raw["cases"].items()
        }
    return raw


def _event(event: dict[str, Any], file: Any) -> dict[str, Any]:
    options = event.get("set") or {}
    if _KEY not in options:
        return event
    return event | {"set": options | {_KEY: file(options[_KEY])}}


def absolute(name: Any, folder: Path) -> Any:
    """Return the absolute name of a trace in a folder; what names none stays as it is.

    :raises InputError: it cannot be read.
    """
    if not isinstance(name, str) or name == "none":
        return name
    path = (folder / name).absolute()
    trace.load(path)
    return str(path)


def named(data: Any) -> list[str]:
    """Return the files of all traces that plain data names, each once."""
    found: dict[str, None] = {}

    def walk(value: Any) -> None:
        if isinstance(value, Mapping):
            for key, each in value.items():
                if isinstance(key, str) and _names_trace(key):
                    found.update(dict.fromkeys(_files(each)))
                else:
                    walk(each)
        elif isinstance(value, list | tuple):
            for each in value:
                walk(each)

    walk(data)
    return list(found)


def _files(value: Any) -> list[str]:
    values = value if isinstance(value, list | tuple) else [value]
    return [each for each in values if isinstance(each, str) and each != "none"]


def _names_trace(key: str) -> bool:
    return key == _KEY or key.endswith(f".{_KEY}")


def is_trace(path: str) -> bool:
    """Tell whether what stands at a path names a trace."""
    return bool(path) and document.split_path(path)[-1] == _KEY
