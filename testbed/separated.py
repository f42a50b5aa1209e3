"""Lines of values that are separated by commas, or by another character."""

from __future__ import annotations

import csv
from pathlib import Path

from testbed.errors import InputError


def cells(
    text: str, delimiter: str = ",", *, file: Path | str | None = None, line: int | None = None
) -> list[str]:
    """Return the values of a line, without the space around them.

    :param file: the name of the file for the error, as is ``line``.
    :raises InputError: it is not CSV, or a value is too long.
    """
    try:
        values = next(csv.reader([text], delimiter=delimiter, skipinitialspace=True))
    except csv.Error as error:
        raise InputError(f"is not CSV: {error}", file=file, line=line) from None
    return [value.strip() for value in values]
