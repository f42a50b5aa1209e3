"""The shaping of links, read from a file."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import msgspec

from testbed.document import Document, join_path
from testbed.errors import InputError, all_of
from testbed.hints import nearest
from testbed.topology.spec import LinkSpec, NetemSpec, TopologySpec
from testbed.wire import grammar
from testbed.wire.medium import check_rate
from testbed.wire.netem import Netem, Value
from testbed.wire.queues import grammar as queues


class Shaping(msgspec.Struct, frozen=True):
    """The netem options of a link.

    :param both: the options of both directions.
    :param toward: the options of the direction to a node, if the file sets some for it.
    :param asked: whether the file sets ``netem`` (even to an empty block) or ``toward``.
    """

    both: Netem
    toward: dict[str, Netem]
    asked: bool


def shapings(document: Document[TopologySpec], spec: TopologySpec) -> dict[str, Shaping]:
    """Read the netem options of all links.

    :param spec: the value of the document, with the results of its generators.
    :raises InputError: as for :func:`shaping`, with the errors of all links.
    """
    found = all_of(
        *(
            functools.partial(shaping, document, join_path("links", name), link)
            for name, link in spec.links.items()
        )
    )
    return dict(zip(spec.links, found, strict=True))


def shaping(document: Document[TopologySpec], path: str, spec: LinkSpec) -> Shaping:
    """Read the netem options of a link.

    :param path: the path of the link in the file.
    :raises InputError: a direction is invalid; with file, line and path of every error.
    """
    both = Netem()
    if isinstance(spec.netem, str | dict):
        both = _read(document, both, spec.netem, f"{path}.netem")

    def read_toward(node: str, options: NetemSpec) -> Netem:
        where = f"{path}.{join_path('toward', node)}"
        if node not in spec.between:
            hint = nearest(node, list(spec.between))
            raise document.error(f"{node!r} is not an end of this link", where, hint)
        return _read(document, both, options, where)

    toward = all_of(*(functools.partial(read_toward, *it) for it in spec.toward.items()))
    asked = isinstance(spec.netem, str | dict) or bool(spec.toward)
    found = Shaping(both=both, toward=dict(zip(spec.toward, toward, strict=True)), asked=asked)
    if spec.duplex == "half":
        _check_rates(document, found, list(spec.between), path)
    return found


def _check_rates(
    document: Document[TopologySpec], found: Shaping, ends: list[str], path: str
) -> None:
    """Check that both directions of a shared medium have a rate."""
    with document.placing(f"{path}.duplex"):
        for end in ends:
            check_rate(found.toward.get(end, found.both).rate, end)


def _read(document: Document[TopologySpec], base: Netem, options: NetemSpec, path: str) -> Netem:
    try:
        written: Mapping[str, Value] = (
            Netem.parse(options).options() if isinstance(options, str) else options
        )
    except InputError as error:
        raise document.error(error.message, path, error.hint) from None

    def check(name: str, value: object) -> None:
        place = f"{path}.{join_path(name)}"
        with document.placing(place):
            option = grammar.option_name(name)
            if not isinstance(value, Mapping):
                grammar.parse_option(option, value)
                return
            grammar.text_of(option, value)
        all_of(*(functools.partial(check_key, place, value, key) for key in value))
        with document.placing(place):
            grammar.parse_option(option, value)

    def check_key(place: str, value: Mapping[str, object], key: str) -> None:
        with document.placing(f"{place}.{join_path(key)}"):
            queues.check(value, key)

    all_of(*(functools.partial(check, *option) for option in written.items()))
    with document.placing(path):  # only combinations of options can still be wrong
        return base.merge(written)
