"""The topologies and experiments that testbed includes, found by name in any installation.

In a checkout they are the folders beside the package. A wheel contains the same folders in
``testbed/data`` (``pyproject.toml``, ``force-include``), so relative paths between them work there
too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from testbed.errors import InputError
from testbed.hints import alike, nearest

TOPOLOGIES: Final = "topologies"
EXPERIMENTS: Final = "experiments"
PAGES: Final = "pages"  # the pages of the workload web, below the experiments
PROJECT: Final = "project"  # the files that ``testbed init`` copies
_PACKAGE: Final = Path(__file__).parent
_CHECKOUT: Final = {PROJECT: "docs/examples/regression-project"}
_EXPERIMENT_KEYS: Final = frozenset(("workload", "flows"))


class Shipped(msgspec.Struct, frozen=True, kw_only=True):
    """One file.

    :param name: the path below the folder without the suffix: ``quickstart``.
    :param description: the value of the key ``description``; empty without one.
    """

    name: str
    description: str
    path: Path


def folder(kind: str) -> Path:
    """Return the folder of ``topologies``, ``experiments`` or ``project``."""
    carried = _PACKAGE / "data" / kind
    return carried if carried.is_dir() else _PACKAGE.parent / _CHECKOUT.get(kind, kind)


def every(kind: str) -> Iterator[Shipped]:
    """Yield all topologies or experiments in order of their names.

    Other YAML files in the folder, such as the description of a paper, are left out.
    """
    top = folder(kind)
    for path in sorted(top.rglob("*.yaml")):
        data = _read(path)
        if isinstance(data, dict) and _is(kind, data):
            name = path.relative_to(top).with_suffix("").as_posix()
            yield Shipped(name=name, description=str(data.get("description", "")), path=path)


def _is(kind: str, data: dict[str, Any]) -> bool:
    if kind == EXPERIMENTS:
        return "topology" in data and not _EXPERIMENT_KEYS.isdisjoint(data)
    return "nodes" in data or "generate" in data


def names(kind: str) -> list[str]:
    """Return the names of all YAML files of a kind except pages, without reading the files."""
    top = folder(kind)
    return [
        path.relative_to(top).with_suffix("").as_posix()
        for path in sorted(top.rglob("*.yaml"))
        if path.parent != top / PAGES
    ]


def find(kind: str, name: str) -> Path:
    """Return the file of a name.

    :raises InputError: no file has the name; the hint has the most similar name.
    """
    path = folder(kind) / f"{name}.yaml"
    if name in names(kind):
        return path
    raise InputError(f"there is no {_singular(kind)} {name!r}", hint=nearest(name, names(kind)))


def located(path: Path, *kinds: str) -> Path:
    """Return a file that the user named: a file of the user, or else a shipped file.

    Only a plain name, as in ``testbed run quickstart``, can mean a shipped file, and only if the
    user has no file of that name. A folder of that name is no file.

    :param kinds: the possible kinds, ``topologies`` or ``experiments``.
    :raises InputError: no file has the name, but that of a shipped file is similar; the hint has
        it.
    """
    is_folder = path.is_dir()
    if path.suffix or path.is_absolute() or (path.exists() and not is_folder):
        return path
    name = str(path)
    for kind in kinds:
        if name in names(kind):
            return find(kind, name)
    if is_folder:
        return path
    ours = alike(name, [each for kind in kinds for each in names(kind)])
    if ours is None:
        return path
    what = " or ".join(map(_singular, kinds))
    raise InputError(
        f"there is no file {name!r} and no {what} of that name that comes with testbed",
        hint=f"did you mean {ours!r}?",
    )


def _singular(kind: str) -> str:
    return "topology" if kind == TOPOLOGIES else "experiment"


def bundle(path: Path) -> list[Path]:
    """Return a shipped file and the files that it names: its topology and that one's traces.

    Only files in the folders of topologies and experiments are included.
    """
    tops = [folder(kind).resolve() for kind in (TOPOLOGIES, EXPERIMENTS)]
    found: dict[Path, None] = {}
    waiting = [path.resolve()]
    while waiting:
        here = waiting.pop()
        if here in found:
            continue
        found[here] = None
        if here.suffix == ".yaml":
            named = (here.parent / text for text in _texts(_read(here)))
            files = (each.resolve() for each in named if _is_file(each))
            waiting += [each for each in files if any(map(each.is_relative_to, tops))]
    return list(found)


def _read(path: Path) -> Any:
    from testbed import document  # noqa: PLC0415 - PyYAML loads slowly, and names need none of it

    return document.load(path, Any).raw


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # the text cannot be a file name
        return False


def _texts(data: Any) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    for each in data.values() if isinstance(data, dict) else data if isinstance(data, list) else ():
        yield from _texts(each)
