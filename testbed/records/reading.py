"""Records as JSON lines."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Any, Final, Union

import msgspec

from testbed.records.kinds import KINDS, Record

_encoder: Final = msgspec.json.Encoder()


class _Tagged(msgspec.Struct):
    probe: str


def read(lines: bytes, others: tuple[type[Record], ...] = ()) -> Iterator[Record]:
    """Yield the records of JSON lines, in their order.

    A line of a probe that is not known here is left out: another program may have written it.

    :param others: the records of further probes.
    :raises msgspec.DecodeError: a line is damaged.
    """
    decode, tags = _decoder(others)
    for line in lines.splitlines():
        try:
            yield decode(line)
        except msgspec.ValidationError:
            if msgspec.json.decode(line, type=_Tagged).probe in tags:
                raise


def encode(records: Iterable[Record]) -> bytes:
    """Return records as JSON lines."""
    return b"".join(_encoder.encode(record) + b"\n" for record in records)


@functools.cache
def _decoder(others: tuple[type[Record], ...]) -> tuple[Any, frozenset[str]]:
    kinds = (*KINDS, *others)
    tags = frozenset(str(kind.__struct_config__.tag) for kind in kinds)
    return msgspec.json.Decoder(Union[kinds]).decode, tags  # noqa: UP007 - a computed union
