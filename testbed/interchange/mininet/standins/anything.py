"""The stand-in for everything without a specific stand-in."""

# ruff: noqa: D102 - it has any method

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class _AnyAttribute(type):
    """The class of classes that have any attribute."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything()


class Anything(metaclass=_AnyAttribute):
    """An object that takes any arguments, has any attribute, is empty and false."""

    def __init__(self, *_arguments: Any, **_parameters: Any) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything()

    def __call__(self, *_arguments: Any, **_parameters: Any) -> Any:
        return Anything()

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __bool__(self) -> bool:
        return False

    def __len__(self) -> int:
        return 0

    def __getitem__(self, key: Any) -> Any:
        return Anything()

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def __delitem__(self, key: Any) -> None:
        pass

    def __int__(self) -> int:
        return 0

    def __enter__(self) -> Anything:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __str__(self) -> str:
        return ""
