"""The interface of derivations."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from testbed.analysis.derived.observed import Observed
from testbed.analysis.instance import Instance
from testbed.metric import Metric

Numbers = Iterable[tuple[Instance, float]]


class Derivation(msgspec.Struct, frozen=True, kw_only=True):
    """A group of metrics that are computed together.

    :param metrics: all metrics that ``derive`` can yield.
    :param derive: a pure function. It omits metrics that a run gives no data for.
    """

    metrics: tuple[Metric, ...]
    derive: Callable[[Observed], Numbers]
