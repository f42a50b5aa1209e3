"""The rows of the tables: what each requirement is, and what there is to say of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec
import yaml

ROOT: Final = Path(__file__).parents[2]
_STACK: Final = ROOT / "testbed" / "stack"

T = TypeVar("T")


class Section(NamedTuple, Generic[T]):
    """A section of an RFC and its requirements."""

    number: str
    title: str
    requirements: list[T]


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One requirement.

    :param id: of the RFC itself, or as :mod:`tests.rfc.text` makes it.
    :param level: the key word.
    :param digest: of the sentence: it tells whether the text is still the same.
    :param says: the requirement, in a few words of ours.
    :param code: what meets it: a file of the stack and a name in it, ``tcp/rtt.py RttEstimator``.
    :param linux: what Linux does otherwise.
    :param reason: why it is left out, or what is left out.
    """

    id: str
    level: str
    digest: str
    says: str
    code: list[str] = []
    linux: str = ""
    reason: str = ""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rfc: int
    sections: list[_Part]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    section: str
    title: str
    requirements: list[Row]


class Table(NamedTuple):
    """All rows of an RFC."""

    rfc: str  # "RFC 8684"
    sections: list[Section[Row]]

    @property
    def rows(self) -> list[Row]:
        """Every row, in order."""
        return [row for section in self.sections for row in section.requirements]


def read(file: Path) -> Table:
    """Return the table of a file.

    :raises msgspec.ValidationError: a row is not as :class:`Row` has it.
    """
    loaded: Any = yaml.load(file.read_text(), Loader=yaml.CSafeLoader)
    said = msgspec.convert(loaded, _File)
    parts = [Section(part.section, part.title, part.requirements) for part in said.sections]
    return Table(f"RFC {said.rfc}", parts)


def tables() -> list[Table]:
    """Return the tables there are."""
    return [read(file) for file in sorted(Path(__file__).parent.glob("rfc*.yaml"))]


def file_of(code: str) -> Path:
    """Return the file that a row's code is in."""
    name = code.partition(" ")[0]
    found = _STACK / name
    return found if found.exists() else ROOT / "testbed" / name


def defines(code: str) -> bool:
    """Tell whether the file that a row names is there, and the name in it."""
    file, name = file_of(code), code.partition(" ")[2]
    return file.exists() and (not name or name in _names(file))


def _names(file: Path) -> set[str]:
    if file not in _KNOWN:
        _KNOWN[file] = set(_defined(ast.parse(file.read_text()).body))
    return _KNOWN[file]


_KNOWN: Final[dict[Path, set[str]]] = {}


def _defined(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    """Yield the names that statements define, those of a class behind a point."""
    for each in body:
        match each:
            case ast.ClassDef():
                yield prefix + each.name
                yield from _defined(each.body, f"{prefix}{each.name}.")
            case ast.FunctionDef():
                yield prefix + each.name
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield prefix + name
            case ast.Assign(targets=[ast.Name(id=name)]):
                yield prefix + name
