"""Every metric there is: what workloads report, what is derived, what other packages add."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from testbed import plugins
from testbed.analysis.derived import DERIVATIONS, Derivation
from testbed.analysis.instance import parse
from testbed.errors import InputError
from testbed.metric import Better, Metric, Source
from testbed.workload.metrics import METRICS

NONE: Final[Mapping[str, Metric]] = MappingProxyType({})
GROUP: Final = "testbed.metrics"  # of entry points; each names a Derivation


@functools.cache
def derivations() -> tuple[Derivation, ...]:
    """Return ours and those of other packages.

    :raises InputError: what an entry point names is no derivation.
    """
    others = plugins.entries(GROUP)
    for name, found in others.items():
        if not isinstance(found, Derivation):
            raise InputError(f"entry point {name!r} of {GROUP}: {found!r} is no Derivation")
    return (*DERIVATIONS, *others.values())


@functools.cache
def metrics() -> Mapping[str, Metric]:
    """Return every metric by its name.

    :raises InputError: two have one name.
    """
    found = dict(METRICS)
    for derivation in derivations():
        for metric in derivation.metrics:
            if metric.name in found:
                raise InputError(f"there are two metrics {metric.name!r}")
            found[metric.name] = metric
    return found


def metric_of(name: str, own: Mapping[str, Metric] = NONE) -> Metric:
    """Return the metric of a number, for example of ``transfer.goodput``.

    A result folder may hold numbers of a package that is not here: they are plain numbers.

    :param own: metrics of the experiment, which its programs print.
    :raises InputError: this cannot be the name of a number.
    """
    metric = _name(name)
    return own.get(metric) or metrics().get(metric) or _unknown(metric)


@functools.lru_cache(maxsize=4096)
def _name(instance: str) -> str:
    return parse(instance).metric


def _unknown(name: str) -> Metric:
    return Metric(
        name=name,
        unit="1",
        better=Better.NEITHER,
        definition="unknown here",
        source=Source.DERIVED,
    )
