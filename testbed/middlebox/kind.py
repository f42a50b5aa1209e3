"""A kind of middlebox: its options, and the function that creates a box from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any

import msgspec

from testbed.errors import InputError
from testbed.hints import nearest
from testbed.middlebox.base import Chance, Middlebox


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base class of the options of a box: the keys of its mapping in the topology."""


Toward = Annotated[
    str | None,
    msgspec.Meta(description="Only in the direction that leads to this node; by default in both."),
]


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """The place of a box.

    :param a: the node at the first end of the link, ``b`` the one at the second.
    :param mtu: the MTU of the link: octets of an IP packet.
    :param random: the seeded random source of this box.
    """

    a: str
    b: str
    mtu: int
    random: Chance

    def end(self, node: str) -> str:
        """Return ``a`` or ``b``: the end of the link that is at a node.

        :raises InputError: the node is at neither end.
        """
        if node not in (self.a, self.b):
            raise InputError(
                f"{node!r} is not an end of the link; its ends are {self.a!r} and {self.b!r}",
                hint=nearest(node, (self.a, self.b)),
            )
        return "a" if node == self.a else "b"

    def toward(self, node: str | None) -> str | None:
        """Return the end of the link that is at a node; ``None`` for ``None``.

        :raises InputError: the node is at neither end.
        """
        return None if node is None else self.end(node)


def _no_addresses(_: Any, __: Site) -> Iterable[tuple[str, str]]:
    return ()


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of middlebox.

    :param options: a subclass of :class:`Options`.
    :param make: a function that returns a box with given options at a site, or raises InputError.
    :param addresses: a function that yields addresses that belong to no host and for which the box
        receives packets: the end of the link, ``a`` or ``b``, where the address is known, and the
        address. It is called after ``make``.
    """

    options: type[Options]
    make: Callable[[Any, Site], Middlebox]
    addresses: Callable[[Any, Site], Iterable[tuple[str, str]]] = _no_addresses
