"""Finds the values that do not fit their type, and describes each mistake in words.

The path in an error of ``msgspec`` lacks the keys (``$.links[...].mtu``). So after an error this
module walks through the data and its type, and finds each value that does not fit.
"""

from __future__ import annotations

import enum
import re
import types
import typing
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from testbed.document.opened import Open, is_open, structured
from testbed.document.paths import Keys
from testbed.document.reader import Data
from testbed.errors import InputError
from testbed.hints import nearest


def mistakes(data: Data, type_: Any, keys: Keys) -> Iterator[tuple[Keys, InputError]]:
    """Yield each value that does not fit its type, the innermost first."""
    try:
        structured(data, type_)
    except (msgspec.ValidationError, InputError) as error:
        for step, inner, inner_type in _children(data, type_):
            if isinstance(inner, InputError):
                yield (*keys, step), inner
            else:
                yield from mistakes(inner, inner_type, (*keys, step))
        yield keys, _in_words(error, data, type_)


def _children(data: Data, type_: Any) -> Iterator[tuple[str | int, Any, Any]]:
    """Yield ``(key, value, type)`` of each child; the value of an unknown key is an error."""
    chosen = _choose(data, type_)
    if isinstance(data, dict):
        yield from _bad_tag(data, type_)
        if isinstance(chosen, type) and issubclass(chosen, msgspec.Struct):
            yield from _fields(data, chosen)
        elif typing.get_origin(chosen) is dict:
            key_type, value_type = typing.get_args(chosen)
            for key, value in data.items():
                yield from _bad_key(key, key_type)
                yield key, value, value_type
    elif isinstance(data, list) and typing.get_origin(chosen) in (list, tuple):
        arguments = [a for a in typing.get_args(chosen) if a is not Ellipsis]
        for index, value in enumerate(data):
            if arguments:
                yield index, value, arguments[min(index, len(arguments) - 1)]


def _bad_key(key: str, type_: Any) -> Iterator[tuple[str, InputError, Any]]:
    """Yield an error for a key that does not fit the type of keys."""
    try:
        msgspec.convert(key, type_)
    except msgspec.ValidationError as error:
        yield key, InputError(f"the key: {_in_words(error, key, type_).message}"), None


def _bad_tag(data: dict[str, Data], type_: Any) -> Iterator[tuple[str, InputError, Any]]:
    """Yield an error for a tag that no member of a union has."""
    yield from _bad_open_tag(data, type_)
    configs = [
        member.__struct_config__
        for member in typing.get_args(type_)
        if isinstance(member, type) and issubclass(member, msgspec.Struct)
    ]
    tags = {str(config.tag): config.tag_field for config in configs if config.tag_field}
    for field in sorted(set(tags.values())):
        found = data.get(field)
        if field in data and str(found) not in tags:
            yield (
                field,
                InputError(f"unknown {field} {found!r}", hint=nearest(str(found), tags)),
                None,
            )


def _bad_open_tag(data: dict[str, Data], type_: Any) -> Iterator[tuple[str, InputError, Any]]:
    """Yield an error for a tag that no struct of an open type has."""
    for member in (type_, *typing.get_args(type_)):
        if is_open(member) and member.tag in data:
            try:
                member.struct(str(data[member.tag]))
            except InputError as error:
                yield member.tag, error, None


def _open_struct(data: Data, type_: type[Open]) -> Any:
    """Return the struct of an open type that the tag of ``data`` names, or None."""
    if isinstance(data, dict) and type_.tag in data:
        try:
            return type_.struct(str(data[type_.tag]))
        except InputError:
            return None
    return None


def _fields(data: dict[str, Data], struct: type[msgspec.Struct]) -> Iterator[tuple[str, Any, Any]]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    tag_field = struct.__struct_config__.tag_field
    known = [*fields, *([tag_field] if tag_field else [])]
    for key, value in data.items():
        if key in fields:
            yield key, value, fields[key].type
        elif key not in known:
            yield key, InputError("unknown key", hint=nearest(key, known)), None


def _choose(data: Data, type_: Any) -> Any:
    """Return the member of a union that matches the shape and the tag of ``data``."""
    while typing.get_origin(type_) is typing.Annotated:
        type_ = typing.get_args(type_)[0]
    if is_open(type_):
        return _open_struct(data, type_)
    if typing.get_origin(type_) not in (typing.Union, types.UnionType):
        return type_
    members = [_choose(data, member) for member in typing.get_args(type_)]
    wanted = [member for member in members if _has_shape(data, member)]
    tagged = [member for member in wanted if _has_tag(data, member)]
    return (tagged or wanted or [None])[0]


def _has_shape(data: Data, type_: Any) -> bool:
    origin = typing.get_origin(type_) or type_
    if not isinstance(origin, type):
        return False
    if isinstance(data, dict):
        return issubclass(origin, (dict, msgspec.Struct))
    return isinstance(data, list) and issubclass(origin, (list, tuple))


def _has_tag(data: Data, type_: Any) -> bool:
    config = getattr(type_, "__struct_config__", None)
    return (
        isinstance(data, dict)
        and config is not None
        and config.tag_field is not None
        and data.get(config.tag_field) == config.tag
    )


_NAMES: Final = {"object": "a mapping", "array": "a list", "str": "text", "int": "a whole number"}
_NAMES_TOO: Final = {"bool": "true or false", "float": "a number", "null": "nothing"}


def _in_words(error: msgspec.ValidationError | InputError, data: Data, type_: Any) -> InputError:
    if isinstance(error, InputError):
        return error
    message = re.sub(r" - at `[^`]*`$", "", str(error))
    message = re.sub(r"^Object missing required field `(.*)`$", r"lacks the key '\1'", message)

    message = re.sub(r"`([^`]*)`", lambda match: _kinds(match[1]), message)
    hint = nearest(data, _choices(type_)) if isinstance(data, str) and _choices(type_) else None
    return InputError(message[:1].lower() + message[1:], hint=hint)


def _kinds(text: str) -> str:
    """Return the words for types in a msgspec message, such as ``int | null``."""
    kinds = text.split(" | ")
    return " or ".join(_NAMES.get(kind) or _NAMES_TOO.get(kind) or kind for kind in kinds)


def _choices(type_: Any) -> list[str]:
    """Return the allowed values of an enum or of literals."""
    if typing.get_origin(type_) is typing.Annotated:
        return _choices(typing.get_args(type_)[0])
    if isinstance(type_, type) and issubclass(type_, enum.Enum):
        return [str(member.value) for member in type_]
    if typing.get_origin(type_) is typing.Literal:
        return [str(value) for value in typing.get_args(type_)]
    if typing.get_origin(type_) in (typing.Union, types.UnionType):
        return [word for member in typing.get_args(type_) for word in _choices(member)]
    return []
