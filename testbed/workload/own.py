"""Metrics from the numbers that external programs print."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from testbed.errors import InputError, WorkloadError
from testbed.metric import LARGEST, NAME, Better, Metric, Source, Unit

_STEP: Final = re.compile(r"([^.\[\]]+)|\[(-?\d+)\]")


class OwnMetric(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The place of a number in a program's standard output, and its meaning.

    :param json: a path in the JSON document that the program prints: ``end.streams[0].rtt``.
    :param regex: a regular expression whose first group is the number. The last match counts.
    """

    json: str | None = None
    regex: str | None = None
    unit: Unit = "1"
    better: Better = Better.NEITHER
    definition: str = "as the program defines it"

    def __post_init__(self) -> None:
        if (self.json is None) == (self.regex is None):
            raise InputError("give either `json` or `regex`")
        if self.regex is not None:
            try:
                groups = re.compile(self.regex).groups
            except re.error as error:
                raise InputError(f"`regex` is not a regular expression: {error}") from error
            if groups != 1:
                raise InputError(
                    "`regex` must have one group, for the number", hint=r"for example (\d+) ms"
                )

    def metric(self, name: str) -> Metric:
        """Return the metric with its name. Raises InputError."""
        return Metric(
            name=name,
            unit=self.unit,
            better=self.better,
            definition=self.definition,
            source=Source.WORKLOAD,
        )


def check_names(own: Mapping[str, OwnMetric]) -> None:
    """Check that the names can be names of metrics. Raises InputError."""
    for name in own:
        if not NAME.fullmatch(name):
            raise InputError(
                f"{name!r} is not a valid name for a metric", hint="for example: page_time"
            )


def read(own: Mapping[str, OwnMetric], output: str, program: str) -> dict[str, float]:
    """Return the metrics that a program printed.

    :raises WorkloadError: a metric is missing from the output, or is no number.
    """
    found = {}
    for name, where in own.items():
        try:
            found[name] = _number(where, output)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            place = where.json if where.regex is None else where.regex
            raise WorkloadError(
                f"{program} did not print the metric {name!r} ({place}): {error}"
            ) from None
    return found


def _number(where: OwnMetric, output: str) -> float:
    number = float(_value(where, output))
    if not math.isfinite(number):
        raise ValueError(f"{number} is not finite")
    if abs(number) > LARGEST:
        raise ValueError(
            f"{number:g} is larger than {LARGEST:g}, the largest number that metrics support"
        )
    return number


def _value(where: OwnMetric, output: str) -> Any:
    if where.regex is not None:
        matches = re.findall(where.regex, output)
        if not matches:
            raise LookupError("it matches nothing")
        return matches[-1]
    value: Any = msgspec.json.decode(output)
    for key, index in _STEP.findall(where.json or ""):
        value = value[key] if key else value[int(index)]
    if isinstance(value, bool):
        raise TypeError("true and false are not numbers")
    return value
