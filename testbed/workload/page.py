"""Pages as graphs of dependencies: which objects there are, and what each of them waits for.

The model is that of WProf and Epload (Wang et al., NSDI 2013 and 2014), without the evaluation of
objects that nothing waits for.  A browser asks for an object when it has found its name and has
evaluated what comes before: so an object waits for others, or for the first octets of others, and
then for a time of computation.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated, Final

import msgspec

from testbed import document
from testbed.errors import InputError, all_of
from testbed.hints import nearest
from testbed.workload.sizes import Quantity, octets, positive_time

MAX_OBJECTS: Final = 1000

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class ObjectSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An object of a page, as its file says it.

    :param size: octets of its content, as they cross the network.
    :param after: the objects it waits for, all of which stand before it in the file; in a mapping,
        how many octets of each must have arrived.
    :param delay: what the client computes, from when those are there until it wants the object.
    :param think: what the server computes, from the request to the response.
    """

    name: Name
    size: Quantity
    after: tuple[Name, ...] | dict[Name, Quantity] = ()
    delay: Quantity = 0
    think: Quantity = 0

    def __post_init__(self) -> None:
        octets(self.size)
        positive_time("delay", self.delay, zero=True)
        positive_time("think", self.think, zero=True)
        if isinstance(self.after, dict):
            for size in self.after.values():
                octets(size)


class PageSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page.  The first object is the document."""

    description: str = ""
    objects: Annotated[tuple[ObjectSpec, ...], msgspec.Meta(min_length=1, max_length=MAX_OBJECTS)]


class Object(msgspec.Struct, frozen=True, kw_only=True):
    """An object of a page.

    :param octets: of its content.
    :param after: the index of each object it waits for, and how many octets of that.
    :param delay_ns: from when those have arrived until it is wanted.
    :param think_ns: from when the server has the request until it responds.
    """

    octets: int
    after: tuple[tuple[int, int], ...] = ()
    delay_ns: int = 0
    think_ns: int = 0


def load(path: Path) -> tuple[Object, ...]:
    """Read the file of a page.

    :raises InputError: it is none, with file and line.
    """
    return resolved(read(path))


def read(path: Path) -> document.Document[PageSpec]:
    """Read the file of a page as it is written; :func:`resolved` checks what objects wait for.

    :raises InputError: it is no page, with file and line.
    """
    return document.load(path, PageSpec)


def resolved(written: document.Document[PageSpec]) -> tuple[Object, ...]:
    """Return what a file means.  Raises InputError, with file and line."""
    known: dict[str, tuple[int, int]] = {}  # where an object stands, and its octets
    for index, spec in enumerate(written.value.objects):
        known.setdefault(spec.name, (index, octets(spec.size)))

    def resolve(index: int, spec: ObjectSpec) -> Object:
        place = f"objects[{index}]"
        if known[spec.name][0] != index:
            raise written.error(f"there is an object {spec.name!r} already", f"{place}.name")
        with written.placing(f"{place}.after"):
            waits = tuple(_wait(known, index, *each) for each in _waits(spec).items())
        return Object(
            octets=octets(spec.size),
            after=waits,
            delay_ns=positive_time("delay", spec.delay, zero=True),
            think_ns=positive_time("think", spec.think, zero=True),
        )

    objects = enumerate(written.value.objects)
    return tuple(all_of(*(functools.partial(resolve, *each) for each in objects)))


def _wait(
    known: dict[str, tuple[int, int]], waiting: int, name: str, most: Quantity | None
) -> tuple[int, int]:
    """Return the index of an object that another one waits for, and the octets of it."""
    if name not in known:
        raise InputError(f"there is no object {name!r}", hint=nearest(name, known))
    index, size = known[name]
    if index >= waiting:
        hint = "objects wait for those that stand before them"
        raise InputError(f"{name!r} does not stand before this one", hint=hint)
    wanted = size if most is None else octets(most)
    if wanted > size:
        raise InputError(f"{name!r} has {size} octets, not {wanted}")
    return index, wanted


def _waits(spec: ObjectSpec) -> dict[str, Quantity | None]:
    """Return what an object waits for, and how many octets of it; ``None`` is all of them."""
    return dict(spec.after) if isinstance(spec.after, dict) else dict.fromkeys(spec.after)


def depths(objects: tuple[Object, ...]) -> list[int]:
    """Return how many objects come one after the other up to each, itself included."""
    found: list[int] = []
    for each in objects:
        found.append(1 + max((found[index] for index, _ in each.after), default=0))
    return found
