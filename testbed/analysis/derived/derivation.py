"""The interface of derivations."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from testbed.analysis.derived.observed import Observed
from testbed.analysis.instance import Instance
from testbed.metric import Metric

Numbers = Iterable[tuple[Instance, float]]


class Derivation(msgspec.Struct, frozen=True, kw_only=True):
    """Some metrics that are computed together.

    :param metrics: all that ``derive`` can give.
    :param derive: a pure function; what cannot be told from this run, it leaves out.
    """

    metrics: tuple[Metric, ...]
    derive: Callable[[Observed], Numbers]
