"""Experiment files with values of the wrong type: replaced, so that the rest can be checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from testbed.document import Document, join_path, split_path
from testbed.document.paths import Keys
from testbed.errors import InputError
from testbed.hints import alike

_SINGLE: Final = ("topology", "workload")  # each is removed as a whole
_ABOUT_FLOWS: Final = ("matrix", "cases", "expect")


class Patch:
    """An experiment file without the values that do not fit their types.

    A copy of a right item replaces each wrong item of a list or mapping, so that all items keep
    their places.  A key without right items is left out.  A misspelt key is spelt right.

    :param read: the file as plain data.
    :param error: the values that do not fit, by their paths.
    :param fields: the keys that a file may have.
    :ivar raw: the file as plain data, patched.
    """

    def __init__(self, read: Document[Any], error: InputError, fields: Sequence[str]) -> None:
        self._read = read
        self._misspelt: dict[str, str] = {}
        self.raw = dict(read.raw) if isinstance(read.raw, dict) else {}
        wrong = [split_path(each.path or "") for each in error.every]
        self._places = dict.fromkeys(self._place(keys) for keys in wrong if keys)
        for key in dict.fromkeys(str(place[0]) for place in self._places):
            if key not in self.raw:
                continue  # removed with a flow
            meant = None if key in fields else alike(key, fields)
            if meant is None or meant in self.raw:
                self._mend(key)
            else:
                self._misspelt[meant] = key
                self.raw[meant] = self.raw.pop(key)

    def others(self, errors: Iterable[InputError]) -> Iterator[InputError]:
        """Yield the errors that are not about a replaced item."""
        for error in errors:
            keys = split_path(error.path or "")
            if keys and keys[0] in self._misspelt:
                path = join_path(self._misspelt[str(keys[0])], *keys[1:])
                yield self._read.error(error.message, path, error.hint)
            elif not any(keys[: len(place)] == place for place in self._places):
                yield error

    def _place(self, keys: Keys) -> Keys:
        """Return the path of the value to replace: an item, or all that stands under a key."""
        several = keys[0] not in _SINGLE and isinstance(self.raw[str(keys[0])], list | dict)
        return keys[: 2 if several else 1]

    def _mend(self, key: str) -> None:
        """Replace the wrong items under a key, or leave the key out."""
        items = self.raw.pop(key)
        wrong = {place[1] for place in self._places if place[0] == key and len(place) > 1}
        named = _named(items) if wrong else {}
        good = [item for name, item in named.items() if name not in wrong]
        if good:
            mended = {name: good[0] if name in wrong else item for name, item in named.items()}
            self.raw[key] = [*mended.values()] if isinstance(items, list) else mended
        if key in ("flows", "workload"):  # the rest may refer to the removed flow
            for other in _ABOUT_FLOWS:
                self.raw.pop(other, None)


def _named(items: Any) -> dict[Any, Any]:
    """Return the items of a list by their index, those of a mapping by their name."""
    return dict(enumerate(items)) if isinstance(items, list) else items
