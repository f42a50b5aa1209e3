"""Types that are open: other packages add to the structs that a mapping can be read as."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from testbed.errors import InputError


class Open:
    """Base of a type whose structs are known by a tag, and found when the tag is read.

    A field has the open type; the value in it is one of the structs, which are subclasses of it and
    have that tag.

    :cvar tag: the key of the tag.
    """

    __slots__ = ()

    tag: ClassVar[str]

    @classmethod
    def struct(cls, name: str) -> type[Any]:
        """Return the struct with a tag.

        :raises InputError: there is none.
        """
        raise NotImplementedError

    @classmethod
    def stranger(cls) -> type[Any] | None:
        """Return the struct that stands for those which are not here, if it is only to be read."""
        return None


def is_open(type_: Any) -> bool:
    """Tell whether a type is an open one, and not one of its structs."""
    return isinstance(type_, type) and issubclass(type_, Open) and not _is_struct(type_)


def structured(data: Any, type_: Any) -> Any:
    """Convert plain data to a type in which open ones may occur.

    :raises msgspec.ValidationError: it does not fit.
    :raises InputError: there is no struct with a tag, or a struct refuses the values.
    """
    return msgspec.convert(data, type_, dec_hook=open_hook)


def open_hook(type_: type[Any], data: Any) -> Any:
    """Read an open type, as a ``dec_hook`` of msgspec."""
    return msgspec.convert(data, _chosen(type_, data), dec_hook=open_hook)


def legible_hook(type_: type[Any], data: Any) -> Any:
    """Read an open type where what is not here is only to be looked at."""
    try:
        chosen = _chosen(type_, data)
    except InputError:
        chosen = type_.stranger()
        if chosen is None:
            raise
    return msgspec.convert(data, chosen, dec_hook=legible_hook)


def _chosen(type_: type[Any], data: Any) -> type[Any]:
    if not is_open(type_):
        raise NotImplementedError(f"nothing is read as {type_}")
    if not isinstance(data, dict):
        msgspec.convert(data, dict[str, Any])  # says what it is instead
    if type_.tag not in data:
        raise msgspec.ValidationError(f"Object missing required field `{type_.tag}`")
    found: type[Any] = type_.struct(str(data[type_.tag]))
    return found


def _is_struct(type_: type[Any]) -> bool:
    return issubclass(type_, msgspec.Struct)
