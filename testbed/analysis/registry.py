"""The registry of all metrics: of workloads, derived ones, and those of other packages."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from testbed.analysis.derived import DERIVATIONS, Derivation
from testbed.analysis.instance import parse
from testbed.errors import InputError
from testbed.hints import nearest
from testbed.metric import Better, Metric, Source
from testbed.registry import Plugin, Registry
from testbed.workload.kinds import KINDS
from testbed.workload.metrics import METRICS

NONE: Final[Mapping[str, Metric]] = MappingProxyType({})


def _accept(_: str, found: Any) -> Derivation:
    if not isinstance(found, Derivation):
        raise TypeError(f"{found!r} is not a Derivation")
    return found


# Each entry point of the group names a Derivation.
REGISTRY: Final[Registry[Derivation]] = Registry(
    "derivation of metrics", "testbed.metrics", DERIVATIONS, _accept
)
_OWN: Final[Mapping[str, Metric]] = METRICS | {
    metric.name: metric for derivation in DERIVATIONS.values() for metric in derivation.metrics
}


class _All:
    """The usable metrics: ours, and those of other packages whose names are free."""

    def __init__(self) -> None:
        self.derivations = dict(DERIVATIONS)
        self.metrics = dict(_OWN)
        self.wrong: list[InputError] = []
        for name, kind in KINDS.working().items():
            self._take(KINDS.origin(name), kind.metrics)
        for name, derivation in REGISTRY.working().items():
            if self._take(REGISTRY.origin(name), derivation.metrics):
                self.derivations[name] = derivation
        self.wrong += REGISTRY.broken()

    def _take(self, origin: Plugin | None, added: Iterable[Metric]) -> bool:
        if origin is None:
            return False  # ours
        found = {metric.name: metric for metric in added}
        taken = sorted(found.keys() & self.metrics.keys())
        if taken:
            self.wrong.append(origin.error(f"there is a metric {taken[0]!r} already"))
            return False
        self.metrics |= found
        return True


_all: Final = functools.cache(_All)


def derivations() -> Mapping[str, Derivation]:
    """Return our derivations and the usable ones of other packages, by name."""
    return _all().derivations


def metrics() -> Mapping[str, Metric]:
    """Return all usable metrics by name."""
    return _all().metrics


def added() -> dict[str, Metric]:
    """Return the metrics that other packages add, by name."""
    return {name: metric for name, metric in metrics().items() if name not in _OWN}


def broken() -> Sequence[InputError]:
    """Return the errors of unusable metrics of other packages."""
    return _all().wrong


def unknown(name: str, known: Iterable[str]) -> InputError:
    """Return (not raise) the error for an unknown metric, with a hint at broken packages."""
    hints = [nearest(name, known), *(f"not usable: {error}" for error in broken())]
    return InputError(f"there is no metric {name!r}", hint="; ".join(hints))


def metric_of(name: str, own: Mapping[str, Metric] = NONE) -> Metric:
    """Return the metric of a number, for example of ``transfer.goodput``.

    A result folder may hold numbers of a package that is not installed. These are plain numbers.

    :param own: the metrics that programs of the experiment print.
    :raises InputError: the name is not a valid name of a number.
    """
    metric = _name(name)
    return own.get(metric) or _OWN.get(metric) or metrics().get(metric) or _unknown(metric)


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
