"""Middleboxes by name, as topologies write them.

Adding one is adding a class, and its line here; another package adds one by an entry point of the
group ``testbed.middleboxes`` that names its :class:`Kind`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from random import Random
from typing import Annotated, Any, Final, Literal

import msgspec

from testbed.errors import InputError
from testbed.packet import mptcp, options
from testbed.registry import Registry
from testbed.sim.middlebox.base import Middlebox
from testbed.sim.middlebox.nat import Nat
from testbed.sim.middlebox.options import StripOptions, always, on_data, on_syn
from testbed.sim.middlebox.payload import RewritePayload
from testbed.sim.middlebox.replay import Replay
from testbed.sim.middlebox.segmentation import Coalesce, Split
from testbed.sim.middlebox.sequence import RewriteSequence
from testbed.topology.model import Box, Link
from testbed.units import parse_time

Octets = Annotated[int, msgspec.Meta(ge=1, le=65_535)]
Where = Literal["syn", "data", "all"]

_WHERE: Final = {"syn": on_syn, "data": on_data, "all": always}
_OPTIONS: Final[dict[str, type[options.Option]]] = {
    "mptcp": mptcp.MptcpOption,
    "mp_capable": mptcp.MpCapable,
    "dss": mptcp.Dss,
    "add_addr": mptcp.AddAddr,
    "remove_addr": mptcp.RemoveAddr,
    "mp_prio": mptcp.MpPrio,
    "timestamps": options.Timestamps,
    "sack_permitted": options.SackPermitted,
    "sack": options.Sack,
    "window_scale": options.WindowScale,
    "mss": options.MaximumSegmentSize,
    "user_timeout": options.UserTimeout,
}


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of what can be said of a box: the keys of its mapping in the topology."""


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """Where a box stands.

    :param a: the node at the first end of the link, ``b`` the one at the second.
    :param random: seeded, of this box alone.
    """

    a: str
    b: str
    random: Random

    def end(self, node: str) -> str:
        """Return ``a`` or ``b``: the end of the link that is at a node.

        :raises InputError: neither is.
        """
        if node not in (self.a, self.b):
            raise InputError(f"{node!r} is at no end of the link: {self.a!r} and {self.b!r} are")
        return "a" if node == self.a else "b"


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of middlebox.

    :param options: a subclass of :class:`Options`.
    :param make: returns a box with such options at a site, or raises InputError.
    """

    options: type[Options]
    make: Callable[[Any, Site], Middlebox]


class NoOptions(Options, frozen=True, kw_only=True):
    """There is nothing to choose."""


class StripOptionsOptions(Options, frozen=True, kw_only=True):
    """Takes TCP options out of segments.

    :param options: which.
    :param where: from segments with SYN, from those without, or from all.
    :param toward: only in the direction that leads to this node.
    """

    options: tuple[str, ...] = ("mptcp",)
    where: Where = "all"
    toward: str | None = None

    def __post_init__(self) -> None:
        for name in self.options:
            if name not in _OPTIONS:
                raise InputError(f"there is no option {name!r}", hint=f"{', '.join(_OPTIONS)}")


class RewritePayloadOptions(Options, frozen=True, kw_only=True):
    """Puts one text in place of another in what goes to the node ``toward``.

    :param after: octets of the stream that pass as they are.
    """

    find: Annotated[str, msgspec.Meta(min_length=1)]
    replace: str
    toward: str
    after: Annotated[int, msgspec.Meta(ge=0)] = 0


class NatOptions(Options, frozen=True, kw_only=True):
    """Translates addresses and ports.

    :param public: the address that hosts outside see.
    :param outside: the node at the link's end that is outside.
    """

    public: str
    outside: str

    def __post_init__(self) -> None:
        try:
            ipaddress.ip_address(self.public)
        except ValueError:
            raise InputError(f"{self.public!r} is no address") from None


class ReplayOptions(Options, frozen=True, kw_only=True):
    """Sends copies of some segments again.

    :param chance: of each segment, from 0 to 1.
    :param delay: after which the copy is sent.
    """

    chance: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.1
    delay: str = "1s"
    where: Where = "all"

    def __post_init__(self) -> None:
        parse_time(self.delay)


class SegmentOptions(Options, frozen=True, kw_only=True):
    """``size``: the most octets of payload that a segment has behind the box."""

    size: Octets


def _strip(chosen: StripOptionsOptions, site: Site) -> Middlebox:
    return StripOptions(
        *(_OPTIONS[name] for name in chosen.options),
        where=_WHERE[chosen.where],
        toward=None if chosen.toward is None else site.end(chosen.toward),
    )


def _rewrite_payload(chosen: RewritePayloadOptions, site: Site) -> Middlebox:
    find, replace = chosen.find.encode(), chosen.replace.encode()
    return RewritePayload(find, replace, toward=site.end(chosen.toward), after=chosen.after)


def _replay(chosen: ReplayOptions, site: Site) -> Middlebox:
    delays_ns = (parse_time(chosen.delay),)
    where = _WHERE[chosen.where]
    return Replay(site.random, chance=chosen.chance, delays_ns=delays_ns, where=where)


def _accept(_: str, found: Any) -> Kind:
    if not isinstance(found, Kind):
        raise TypeError(f"{found!r} is no Kind of middlebox")
    if not isinstance(found.options, type) or not issubclass(found.options, Options):
        raise TypeError(f"its options are {found.options!r}, no subclass of Options")
    return found


KINDS: Final[Registry[Kind]] = Registry(
    "middlebox",
    "testbed.middleboxes",
    {
        "coalesce": Kind(options=SegmentOptions, make=lambda chosen, _: Coalesce(chosen.size)),
        "nat": Kind(
            options=NatOptions,
            make=lambda chosen, site: Nat(chosen.public, outside=site.end(chosen.outside)),
        ),
        "replay": Kind(options=ReplayOptions, make=_replay),
        "rewrite_payload": Kind(options=RewritePayloadOptions, make=_rewrite_payload),
        "rewrite_sequence": Kind(
            options=NoOptions,
            make=lambda _, site: RewriteSequence(site.random.getrandbits(32)),
        ),
        "split": Kind(options=SegmentOptions, make=lambda chosen, _: Split(chosen.size)),
        "strip_options": Kind(options=StripOptionsOptions, make=_strip),
    },
    _accept,
)


def boxes(link: Link, seed: str) -> tuple[Middlebox, ...]:
    """Return the boxes of a link, the one nearest to its end ``a`` first.

    :param seed: of everything random in them.
    :raises InputError: there is no such box, or it cannot be what was written.
    """
    return tuple(
        _box(box, Site(a=link.a.node, b=link.b.node, random=Random(f"{seed} {link.name} {number}")))
        for number, box in enumerate(link.middlebox)
    )


def _box(box: Box, site: Site) -> Middlebox:
    kind = KINDS.find(box.kind)
    try:
        chosen = msgspec.convert(dict(box.options), kind.options)
    except msgspec.ValidationError as error:
        raise InputError(f"middlebox {box.kind!r}: {error}") from None
    except InputError as error:
        raise InputError(f"middlebox {box.kind!r}: {error.message}", hint=error.hint) from None
    return kind.make(chosen, site)
