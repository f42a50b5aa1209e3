"""Which tests show which requirements, read from the tests' source without running pytest."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.rfc.rows import ROOT


class Shown(NamedTuple):
    """A test, and one requirement that its marker names."""

    file: Path
    test: str
    rfc: str
    id: str


def collect(folder: Path = ROOT / "tests") -> list[Shown]:
    """Return what the markers ``requirement`` of all tests in a folder say, in order.

    :raises TypeError: a marker is not made of strings: the RFC, and at least one id.
    """
    return [
        shown
        for file in sorted(folder.rglob("test_*.py"))
        if "mark.requirement" in (source := file.read_text())
        for shown in _shown(file, ast.parse(source))
    ]


def _shown(file: Path, module: ast.Module) -> Iterator[Shown]:
    for test in ast.walk(module):
        if not isinstance(test, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for decorator in test.decorator_list:
            match decorator:
                case ast.Call(func=ast.Attribute(attr="requirement"), args=args):
                    rfc, *ids = map(_text, args)
                    if not ids:
                        raise TypeError(f"{file}: {test.name}: a marker without an id")
                    yield from (Shown(file, test.name, rfc, each) for each in ids)


def _text(argument: ast.expr) -> str:
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return argument.value
    raise TypeError(f"line {argument.lineno}: a marker's arguments are strings")
