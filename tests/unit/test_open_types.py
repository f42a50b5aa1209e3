"""Types to which other packages add."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from testbed import document
from testbed.document import Positions
from testbed.errors import InputError


class Shape(document.Open):
    __slots__ = ()
    tag = "shape"

    @classmethod
    def struct(cls, name: str) -> type[Any]:
        if name not in KINDS:
            raise InputError(f"there is no shape {name!r}", hint="draw it")
        return KINDS[name]

    @classmethod
    def stranger(cls) -> type[Any]:
        return Strange


class Circle(Shape, msgspec.Struct, frozen=True, tag_field="shape", tag="circle"):
    radius: int


class Frame(
    Shape, msgspec.Struct, frozen=True, tag_field="shape", tag="frame", forbid_unknown_fields=True
):
    within: Shape | None = None


class Strange(Shape, msgspec.Struct, frozen=True):
    shape: str


KINDS: dict[str, type[Any]] = {"circle": Circle, "frame": Frame}


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    one: Shape | None = None
    many: dict[str, Shape] = {}


def read(text: str, *, legible: bool = False) -> File:
    raw, _ = document.parse(text, "try.yaml")
    return document.convert(raw, File, Positions({}), "try.yaml", legible=legible).value


def test_a_mapping_becomes_the_struct_of_its_tag() -> None:
    found = read(
        "one: {shape: circle, radius: 3}\n"
        "many: {a: {shape: frame}, b: {shape: frame, within: {shape: circle, radius: 1}}}\n"
    )
    frames = {"a": Frame(), "b": Frame(within=Circle(radius=1))}
    assert found == File(one=Circle(radius=3), many=frames)
    assert document.structured(msgspec.to_builtins(found), File) == found
    encoded = msgspec.json.encode(found)
    assert msgspec.json.decode(encoded, type=File, dec_hook=document.open_hook) == found


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("one:\n  shape: circl", 2, "one.shape: there is no shape 'circl'; draw it"),
        ("one:\n  radius: 3", 1, "one: lacks the key 'shape'"),
        ("one: 3", 1, "one: expected a mapping, got a whole number"),
        ("one:\n  shape: 3", 2, "one.shape: there is no shape '3'; draw it"),
        ("one:\n  shape: circle\n  radius: x", 3, "one.radius: expected a whole number, got text"),
        ("many:\n  a:\n    shape: frame\n    wide: 1", 4, "many.a.wide: unknown key"),
        ("many:\n  a: {shape: frame, within: {shape: x}}", 2, "many.a.within.shape: there is no"),
    ],
)
def test_what_is_wrong_has_its_line(text: str, line: int, message: str) -> None:
    with pytest.raises(InputError) as caught:
        document.loads(text, File, "try.yaml")
    assert f"try.yaml:{line}: {message}" in str(caught.value)


def test_what_is_only_looked_at_need_not_be_here() -> None:
    text = "one: {shape: star, points: 5}\nmany: {a: {shape: frame, within: {shape: star}}}\n"
    found = read(text, legible=True)
    assert found.one == Strange(shape="star")
    assert found.many["a"] == Frame(within=Strange(shape="star"))
    with pytest.raises(InputError, match="no shape 'star'"):
        read(text)
