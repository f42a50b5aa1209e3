"""JSON files of ours, which have the version of their form in the key ``schema``."""

from __future__ import annotations

from pathlib import Path
from typing import Final, TypeVar

import msgspec

from testbed.errors import StoreError

T = TypeVar("T")

# What decoding a damaged file raises.
DAMAGED: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Versioned(msgspec.Struct):
    schema: int


def schema_of(content: bytes, path: Path, newest: int) -> int:
    """Return the version of a file's form, which is at most ``newest``.

    :raises StoreError: the file is damaged, or of a later version.
    """
    try:
        schema = msgspec.json.decode(content, type=_Versioned).schema
    except DAMAGED as error:
        raise StoreError(f"{path} is damaged: {error}") from error
    if schema > newest:
        raise StoreError(
            f"{path} has schema {schema}, but this testbed reads only up to {newest}",
            hint="use a newer testbed",
        )
    return schema


def decoded(content: bytes, path: Path, as_type: type[T], newest: int) -> T:
    """Return the content of a file. A later version is not read, whatever its form.

    :raises StoreError: the file is damaged, or of a later version.
    """
    schema_of(content, path, newest)
    try:
        return msgspec.json.decode(content, type=as_type)
    except DAMAGED as error:
        raise StoreError(f"{path} is damaged: {error}") from error
