"""Records as JSON lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, Union

import msgspec

from testbed.errors import InputError
from testbed.records.kinds import KINDS, Record

_encoder: Final = msgspec.json.Encoder()
_OWN: Final = frozenset(KINDS.own())
_ours: Final = msgspec.json.Decoder(Union[tuple(KINDS[name] for name in KINDS.own())])  # noqa: UP007 - a computed union


class _Tagged(msgspec.Struct):
    probe: str


def read(lines: bytes) -> Iterator[Record]:
    """Yield the records of JSON lines, in order.

    Lines of unknown probes are skipped: another program may have written them, or a package that is
    no longer installed.

    :raises msgspec.DecodeError: a line is damaged.
    """
    decoders: dict[str, msgspec.json.Decoder[Any] | None] = {}
    for line in lines.splitlines():
        try:
            yield _ours.decode(line)
        except msgspec.ValidationError:
            probe = msgspec.json.decode(line, type=_Tagged).probe
            if probe in _OWN:
                raise
            if probe not in decoders:
                decoders[probe] = _decoder(probe)
            decoder = decoders[probe]
            if decoder is not None:
                yield decoder.decode(line)


def encode(records: Iterable[Record]) -> bytes:
    """Return records as JSON lines."""
    return b"".join(_encoder.encode(record) + b"\n" for record in records)


def _decoder(probe: str) -> msgspec.json.Decoder[Any] | None:
    """Return the decoder for a probe of another package, or None if that cannot be loaded."""
    try:
        return msgspec.json.Decoder(KINDS.find(probe))
    except InputError:
        return None
