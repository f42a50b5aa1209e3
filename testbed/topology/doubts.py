"""Warnings for values of a topology that are valid but seldom intended."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from testbed import sysctls
from testbed.document import Document, join_path
from testbed.errors import InputError
from testbed.topology.spec import TopologySpec
from testbed.units import format_rate, parse_rate

_OCTETS: Final = re.compile(r"[kmgt]?i?bps$", re.IGNORECASE)
_BARE: Final = re.compile(r"[0-9.]+$")
_SHARES: Final = ("loss", "duplicate", "corrupt", "reorder")
_SMALL_RATE: Final = 10_000  # bit/s


def doubts(written: Document[TopologySpec]) -> Iterator[InputError]:
    """Yield a warning for each doubtful value."""
    for name, link in written.value.links.items():
        blocks: dict[tuple[str, ...], Any] = {("links", name, "netem"): link.netem}
        blocks |= {("links", name, "toward", node): it for node, it in link.toward.items()}
        for place, netem in blocks.items():
            if netem:
                for option, text in _options(netem).items():
                    said = _shaping(option, text)
                    if said is not None:
                        yield _warning(written, join_path(*place, option), *said)
    places: dict[tuple[str, ...], Mapping[str, Any]] = {("sysctls",): written.value.sysctls}
    places |= {
        ("nodes", node, "sysctls"): it.sysctls for node, it in written.value.nodes.items() if it
    }
    for place, values in places.items():
        for name, value in values.items():
            wrong = sysctls.wrong(name, str(value))
            if wrong is not None:
                yield _warning(written, join_path(*place, name), wrong.message, wrong.hint)


def _options(netem: Any) -> Mapping[str, str]:
    if isinstance(netem, str):
        words = netem.split()
        return dict(itertools.pairwise(words))
    return {option: str(value) for option, value in netem.items()}


def _shaping(option: str, text: str) -> tuple[str, str] | None:
    """Return why the value of a netem option is doubtful, and the value that was probably meant."""
    first = text.split(maxsplit=1)[0] if text.split() else ""
    if option == "rate" and _OCTETS.search(first):
        rate = format_rate(parse_rate(first))
        bits = _OCTETS.sub(lambda unit: unit[0].lower().replace("bps", "bit"), first)
        return f"tc reads {first} as {rate}: bps are octets per second", f"write {bits} or {rate}"
    if option == "rate" and _BARE.match(first) and float(first) < _SMALL_RATE:
        return f"tc reads {first} as {first} bit/s", f"write {first}mbit"
    if option in _SHARES and _BARE.match(first) and 0 < float(first) < 1:
        percent = format(float(first) * 100, "g")
        return f"tc reads {first} as {first} %", f"write {percent}% or {first}%"
    return None


def _warning(
    written: Document[TopologySpec], path: str, message: str, hint: str | None
) -> InputError:
    return written.error(f"warning: {message}", path, hint)
