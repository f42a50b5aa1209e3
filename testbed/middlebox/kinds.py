"""Middleboxes by their names in topologies.

To add one, add a module with its class, its options and its :class:`Kind`, and a line here. Another
package adds one by an entry point of the group ``testbed.middleboxes`` that names its
:class:`Kind`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from testbed.errors import InputError
from testbed.middlebox.base import Chance, Middlebox
from testbed.middlebox.box import Box
from testbed.middlebox.kind import Kind, Options, Site
from testbed.registry import Registry

__all__ = ["KINDS", "Kind", "Options", "Site", "addresses", "boxes", "check"]


def _accept(_: str, found: Any) -> Kind:
    if not isinstance(found, Kind):
        raise TypeError(f"{found!r} is not a Kind of middlebox")
    if not isinstance(found.options, type) or not issubclass(found.options, Options):
        raise TypeError(f"its options are {found.options!r}, which is not a subclass of Options")
    return found


KINDS: Final[Registry[Kind]] = Registry(
    "middlebox",
    "testbed.middleboxes",
    {
        "clamp_mss": "testbed.middlebox.mss:KIND",
        "coalesce": "testbed.middlebox.segmentation:COALESCE",
        "firewall": "testbed.middlebox.firewall:KIND",
        "nat": "testbed.middlebox.nat:KIND",
        "policer": "testbed.middlebox.policer:KIND",
        "replay": "testbed.middlebox.replay:KIND",
        "rewrite_payload": "testbed.middlebox.payload:KIND",
        "rewrite_sequence": "testbed.middlebox.sequence:KIND",
        "split": "testbed.middlebox.segmentation:SPLIT",
        "strip_options": "testbed.middlebox.options:KIND",
        "syn_proxy": "testbed.middlebox.syn_proxy:KIND",
    },
    _accept,
)


def boxes(
    written: Sequence[Box],
    ends: tuple[str, str],
    mtu: int,
    seed: str,
    chance: Callable[[str], Chance],
) -> tuple[Middlebox, ...]:
    """Return the boxes of a link, the one nearest to its end ``a`` first.

    :param ends: the nodes at ``a`` and ``b``.
    :param mtu: the MTU of the link in octets.
    :param seed: the seed of the random sources of the boxes.
    :param chance: a function that returns the random source for a seed: ``random.Random``.
    :raises InputError: the kind of a box is unknown, or its options are invalid.
    """
    a, b = ends
    return tuple(
        _box(box, Site(a=a, b=b, mtu=mtu, random=chance(f"{seed} {number}")))
        for number, box in enumerate(written)
    )


def check(box: Box, ends: tuple[str, str], mtu: int) -> None:
    """Check the kind and the options of a box.

    :raises InputError: as :func:`boxes`.
    """
    _box(box, _site(ends, mtu))


def addresses(box: Box, ends: tuple[str, str], mtu: int) -> Iterator[tuple[str, str]]:
    """Yield addresses that belong to no host, for which a box receives packets.

    :returns: the end of the link where an address is known, ``a`` or ``b``, and the address.
    """
    kind = KINDS.find(box.kind)
    yield from kind.addresses(_options(box, kind), _site(ends, mtu))


class _Certainty:
    """A constant random source, for boxes that never see a segment."""

    def random(self) -> float:
        return 0.0

    def getrandbits(self, k: int, /) -> int:
        return 0


def _site(ends: tuple[str, str], mtu: int) -> Site:
    a, b = ends
    return Site(a=a, b=b, mtu=mtu, random=_Certainty())


def _box(box: Box, site: Site) -> Middlebox:
    kind = KINDS.find(box.kind)
    return kind.make(_options(box, kind), site)


def _options(box: Box, kind: Kind) -> Options:
    try:
        return msgspec.convert(dict(box.options), kind.options)
    except msgspec.ValidationError as error:
        raise InputError(f"middlebox {box.kind!r}: {error}") from None
