"""A reader of topology files, and the substitution of values in them."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from testbed import document
from testbed.document import Data, Document
from testbed.errors import InputError, all_of
from testbed.hints import nearest
from testbed.topology.spec import LinkSpec, NetemSpec, NodeSpec, Spec, TopologySpec
from testbed.wire import steps
from testbed.wire.netem import OPTIONS, Netem


def load_topology(path: Path) -> Document[TopologySpec]:
    """Read a topology file, with absolute names of its traces.

    :raises InputError: it is invalid, or an experiment.
    """
    try:
        written = document.load(path, TopologySpec)
    except InputError:
        raw = document.load(path, Any).raw
        if isinstance(raw, dict) and "topology" in raw and not {"nodes", "links"} & raw.keys():
            raise InputError(
                "is an experiment, not a topology",
                file=str(path),
                hint=f"run it with `testbed run {path}`; its topology is under the key 'topology'",
            ) from None
        raise
    return located(written, path.parent)


def located(written: Document[TopologySpec], folder: Path) -> Document[TopologySpec]:
    """Return a topology with the absolute names of its traces.

    So they are found from any working directory.

    :param folder: the folder of the file that contains the topology.
    :raises InputError: a trace cannot be read; with file and line of each.
    """

    def find(place: tuple[str, ...], options: NetemSpec) -> tuple[tuple[str, ...], str] | None:
        netem = Netem.parse(options)
        if netem.trace is None:
            return None
        file = str((folder / netem.trace).absolute())
        both = written.value.links[place[1]].netem
        shared = both if place[2] == "toward" and isinstance(both, str | dict) else {}
        around = Netem.parse(shared).merge(netem.options())
        try:
            steps.checked(around.merge({"trace": file}))
        except InputError as error:
            raise written.error(str(error), document.join_path(*place)) from None
        return place, file

    raw = written.raw
    shapings = _shapings(written.value)
    for place, file in filter(None, all_of(*(functools.partial(find, *it) for it in shapings))):
        raw = _replace(raw, (*place, "trace"), 0, file)
    return document.convert(raw, TopologySpec, written.positions, written.name)


def _shapings(spec: TopologySpec) -> Iterator[tuple[tuple[str, ...], NetemSpec]]:
    """Yield each netem block that names a trace, and its keys."""
    for name, link in spec.links.items():
        blocks: dict[tuple[str, ...], NetemSpec] = {
            ("links", name, "toward", node): netem for node, netem in link.toward.items()
        }
        if not isinstance(link.netem, msgspec.UnsetType):
            blocks["links", name, "netem"] = link.netem
        for place, netem in blocks.items():
            if "trace" in netem:
                yield place, netem


def loads_topology(text: str, name: str = "topology.yaml") -> Document[TopologySpec]:
    """Read a topology from ``text``. Messages use ``name`` as the name of the file."""
    return document.loads(text, TopologySpec, name)


def substitute(raw: Data, path: str, value: Data) -> Data:
    """Return a copy of a topology's plain data with another value at ``path``.

    A netem option directly below a link refers to its netem block: ``links.wifi.delay``. The link
    or node must exist; missing options are added. :func:`testbed.document.convert` checks the copy
    later. Raises InputError for a path that does not exist.
    """
    keys = _keys(path)
    if not keys:
        raise InputError("the path is empty", hint="write for example links.wifi.delay")
    return _replace(raw, keys, 0, value)


def is_shaping(path: str) -> bool:
    """Return whether a path of :func:`substitute` leads to the shaping of a link."""
    keys = _keys(path)
    return len(keys) > 2 and keys[0] == "links" and keys[2] in ("netem", "toward")


def _keys(path: str) -> tuple[str | int, ...]:
    keys = document.split_path(path)
    if len(keys) > 2 and keys[0] == "links" and keys[2] in OPTIONS:
        return (*keys[:2], "netem", *keys[2:])
    return keys


_STRUCTS: Final[dict[tuple[str, int], type[Spec]]] = {
    ("links", 2): LinkSpec,
    ("nodes", 2): NodeSpec,
}


def _replace(data: Data, keys: tuple[str | int, ...], depth: int, value: Data) -> Data:
    if depth == len(keys):
        return value
    key = keys[depth]
    if isinstance(key, int):
        if not isinstance(data, list) or key >= len(data):
            raise _nowhere(keys, depth, f"there is no entry {key}", None)
        return [*data[:key], _replace(data[key], keys, depth + 1, value), *data[key + 1 :]]
    if isinstance(data, str) and _is_netem(keys, depth):
        data = dict(Netem.parse(data).options())
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise _nowhere(keys, depth, f"there is no {key!r}", "this is a plain value")
    known = _known(data, keys, depth)
    if known is not None and key not in known:
        raise _nowhere(keys, depth, f"there is no {key!r}", nearest(key, known))
    return {**data, key: _replace(data.get(key), keys, depth + 1, value)}


def _known(
    data: dict[str, Data], keys: tuple[str | int, ...], depth: int
) -> Collection[str] | None:
    """Return the keys that are valid here, or None if the check of the types decides."""
    if depth == 0:
        return _fields(TopologySpec)
    if depth == 1 and keys[0] in ("links", "nodes"):
        return list(data)
    struct = _STRUCTS.get((str(keys[0]), depth))
    if struct is not None:
        return (*_fields(struct), *(OPTIONS if struct is LinkSpec else ()))
    return list(OPTIONS) if _is_netem(keys, depth) else None


def _is_netem(keys: tuple[str | int, ...], depth: int) -> bool:
    """Return whether the keys up to ``depth`` lead to a netem block."""
    if keys[0] != "links":
        return False
    return (depth == 3 and keys[2] == "netem") or (depth == 4 and keys[2] == "toward")


@functools.cache
def _fields(struct: type[Spec]) -> tuple[str, ...]:
    return tuple(field.encode_name for field in msgspec.structs.fields(struct))


def _nowhere(keys: tuple[str | int, ...], depth: int, why: str, hint: str | None) -> InputError:
    where = document.join_path(*keys[:depth]) or "the topology"
    path = document.join_path(*keys)
    return InputError(f"{why} in {where}", path=path, hint=hint)
