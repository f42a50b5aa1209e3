"""What a kind of middlebox is: its options, and how one is made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any

import msgspec

from testbed.errors import InputError
from testbed.hints import nearest
from testbed.middlebox.base import Chance, Middlebox


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of what can be said of a box: the keys of its mapping in the topology."""


Toward = Annotated[
    str | None,
    msgspec.Meta(description="Only in the direction that leads to this node; by default in both."),
]


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """Where a box stands.

    :param a: the node at the first end of the link, ``b`` the one at the second.
    :param mtu: of the link: octets of an IP packet.
    :param random: seeded, of this box alone.
    """

    a: str
    b: str
    mtu: int
    random: Chance

    def end(self, node: str) -> str:
        """Return ``a`` or ``b``: the end of the link that is at a node.

        :raises InputError: neither is.
        """
        if node not in (self.a, self.b):
            raise InputError(
                f"{node!r} is at no end of the link: {self.a!r} and {self.b!r} are",
                hint=nearest(node, (self.a, self.b)),
            )
        return "a" if node == self.a else "b"

    def toward(self, node: str | None) -> str | None:
        """Return the end of the link that is at a node; ``None`` for ``None``.

        :raises InputError: neither is.
        """
        return None if node is None else self.end(node)


def _no_addresses(_: Any, __: Site) -> Iterable[tuple[str, str]]:
    return ()


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of middlebox.

    :param options: a subclass of :class:`Options`.
    :param make: returns a box with such options at a site, or raises InputError.
    :param addresses: yields the addresses that are nobody's, and that the box takes packets for:
        the end of the link, ``a`` or ``b``, where they are known, and the address.  It is asked
        after ``make``.
    """

    options: type[Options]
    make: Callable[[Any, Site], Middlebox]
    addresses: Callable[[Any, Site], Iterable[tuple[str, str]]] = _no_addresses
