"""The differences between two plans."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from testbed.topology.operations import AnyOperation, Plan


class Difference(msgspec.Struct, frozen=True):
    """The operations that only one of two plans has, in the order of that plan."""

    removed: tuple[AnyOperation, ...]
    added: tuple[AnyOperation, ...]


def diff(old: Plan, new: Plan) -> Difference:
    """Compare two plans as multisets of operations. The order is ignored."""
    return Difference(
        removed=_without(old.operations, new.operations),
        added=_without(new.operations, old.operations),
    )


def _without(
    operations: Iterable[AnyOperation], others: Iterable[AnyOperation]
) -> tuple[AnyOperation, ...]:
    left = Counter(map(str, others))
    kept = []
    for operation in operations:
        if left[str(operation)]:
            left[str(operation)] -= 1
        else:
            kept.append(operation)
    return tuple(kept)
