"""Pages as dependency graphs: their objects, and what each object waits for.

The model is that of WProf and Epload (Wang et al., NSDI 2013 and 2014), without the evaluation of
objects that nothing waits for. A browser requests an object after it has found its name and has
evaluated the preceding objects. So an object waits for other objects, or for their first octets,
and then for a computation time.
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
    """An object of a page in the page's file.

    :param size: the size of its content on the network, in octets.
    :param after: the objects it waits for, all of which precede it in the file. A mapping gives the
        number of octets of each that must have arrived.
    :param delay: the computation time of the client, from the arrival of those objects to the
        request.
    :param think: the computation time of the server, from the request to the response.
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
    """A page, whose first object is the document."""

    description: str = ""
    objects: Annotated[tuple[ObjectSpec, ...], msgspec.Meta(min_length=1, max_length=MAX_OBJECTS)]


class Object(msgspec.Struct, frozen=True, kw_only=True):
    """An object of a page.

    :param octets: the size of its content.
    :param after: the index of each object it waits for, and the number of octets of that object.
    :param delay_ns: the time from the arrival of those octets to the request.
    :param think_ns: the time from the receipt of the request to the response.
    """

    octets: int
    after: tuple[tuple[int, int], ...] = ()
    delay_ns: int = 0
    think_ns: int = 0


def load(path: Path) -> tuple[Object, ...]:
    """Read the file of a page.

    :raises InputError: the file is no page. The error has file and line.
    """
    return resolved(read(path))


def read(path: Path) -> document.Document[PageSpec]:
    """Read the file of a page without resolving dependencies; :func:`resolved` checks them.

    :raises InputError: the file is no page. The error has file and line.
    """
    return document.load(path, PageSpec)


def resolved(written: document.Document[PageSpec]) -> tuple[Object, ...]:
    """Return the objects of a page. Raises InputError with file and line."""
    known: dict[str, tuple[int, int]] = {}  # index and octets of each object
    for index, spec in enumerate(written.value.objects):
        known.setdefault(spec.name, (index, octets(spec.size)))

    def resolve(index: int, spec: ObjectSpec) -> Object:
        place = f"objects[{index}]"
        if known[spec.name][0] != index:
            raise written.error(f"there is already an object {spec.name!r}", f"{place}.name")
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
    """Return the index of an object that another one waits for, and the number of octets."""
    if name not in known:
        raise InputError(f"there is no object {name!r}", hint=nearest(name, known))
    index, size = known[name]
    if index >= waiting:
        hint = "an object can wait only for objects before it"
        raise InputError(f"{name!r} does not come before this object", hint=hint)
    wanted = size if most is None else octets(most)
    if wanted > size:
        raise InputError(f"{name!r} has {size} octets, not {wanted}")
    return index, wanted


def _waits(spec: ObjectSpec) -> dict[str, Quantity | None]:
    """Return the objects that an object waits for, with the octets of each; ``None`` means all."""
    return dict(spec.after) if isinstance(spec.after, dict) else dict.fromkeys(spec.after)


def depths(objects: tuple[Object, ...]) -> list[int]:
    """Return the depth of each object in the graph, which is 1 for one that waits for nothing."""
    found: list[int] = []
    for each in objects:
        found.append(1 + max((found[index] for index, _ in each.after), default=0))
    return found
