"""Making a failing case smaller: what it does not need is taken away, greedily."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)
_MOST: Final = 400  # attempts: minimising is for people, not for its own sake


def smallest(case: T, fails: Callable[[T], bool]) -> T:
    """Return a case that still fails, and none of whose simpler forms does.

    :param fails: whether a case fails in the way that the first one did.
    """
    left = _MOST
    progress = True
    while progress and left > 0:
        progress = False
        for simpler in _simpler(case):
            left -= 1
            if left <= 0:
                break
            if fails(simpler):
                case, progress = simpler, True
                break
    return case


def _simpler(case: T) -> Iterator[T]:
    """Yield a case with less in it: halves of its lists first, then one thing less at a time."""
    for name, shorter in _fields(case, _shorter):
        yield msgspec.structs.replace(case, **{name: shorter})
    for field in msgspec.structs.fields(type(case)):
        value = getattr(case, field.name)
        if field.default is not msgspec.NODEFAULT and value != field.default:
            yield msgspec.structs.replace(case, **{field.name: field.default})
        if isinstance(value, tuple):
            for at, each in enumerate(value):
                if isinstance(each, msgspec.Struct):
                    for simple in _simpler(each):
                        changed = (*value[:at], simple, *value[at + 1 :])
                        yield msgspec.structs.replace(case, **{field.name: changed})


def _fields(
    case: msgspec.Struct, of: Callable[[tuple[Any, ...]], Iterable[Any]]
) -> Iterator[tuple[str, Any]]:
    for name in case.__struct_fields__:
        value = getattr(case, name)
        if isinstance(value, tuple):
            for changed in of(value):
                yield name, changed


def _shorter(several: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Yield tuples with a part left out: the larger parts first."""
    size = len(several) // 2
    while size >= 1:
        for at in range(0, len(several), size):
            yield several[:at] + several[at + size :]
        size //= 2
    if len(several) == 1:
        yield ()
