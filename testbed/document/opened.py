"""Open types: other packages can add structs to them."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from testbed.errors import InputError


class Open:
    """Base class of an open type. A tag in the data selects the struct.

    A field has the open type. Its value is one of the structs. Each struct is a subclass of the
    open type and has its own tag.

    :cvar tag: the key of the tag.
    """

    __slots__ = ()

    tag: ClassVar[str]

    @classmethod
    def struct(cls, name: str) -> type[Any]:
        """Return the struct with a tag.

        :raises InputError: no struct has the tag.
        """
        raise NotImplementedError

    @classmethod
    def stranger(cls) -> type[Any] | None:
        """Return the struct that replaces unknown structs in displayed documents, or None."""
        return None


def is_open(type_: Any) -> bool:
    """Return whether a type is an open type, and not one of its structs."""
    return isinstance(type_, type) and issubclass(type_, Open) and not _is_struct(type_)


def structured(data: Any, type_: Any) -> Any:
    """Convert plain data to a type that may contain open types.

    :raises msgspec.ValidationError: it does not fit.
    :raises InputError: no struct has a tag, or a struct refuses the values.
    """
    return msgspec.convert(data, type_, dec_hook=open_hook)


def open_hook(type_: type[Any], data: Any) -> Any:
    """Read an open type, as a ``dec_hook`` of msgspec."""
    return msgspec.convert(data, _chosen(type_, data), dec_hook=open_hook)


def legible_hook(type_: type[Any], data: Any) -> Any:
    """Read an open type for display: unknown structs become :meth:`Open.stranger`."""
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
        msgspec.convert(data, dict[str, Any])  # raises an error with the actual type
    if type_.tag not in data:
        raise msgspec.ValidationError(f"Object missing required field `{type_.tag}`")
    found: type[Any] = type_.struct(str(data[type_.tag]))
    return found


def _is_struct(type_: type[Any]) -> bool:
    return issubclass(type_, msgspec.Struct)
