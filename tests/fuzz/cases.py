"""All targets under one shape: a case is a value that follows from a seed, and is played."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

import msgspec

from testbed.errors import InputError
from tests.fuzz import codecs, episodes, networks, pairs
from tests.fuzz.finding import kind


class Octets(msgspec.Struct, frozen=True):
    """The input of a codec."""

    hex: str


class Target(NamedTuple):
    """Something that is fuzzed.

    :param command: under which of the commands.
    :param make: a case of a seed.
    :param play: raises where something is wrong.
    :param share: of the command's count, in percent.
    :param packets: how much of the count one case is.
    """

    name: str
    command: str
    type: type[msgspec.Struct]
    make: Callable[[int], Any]
    play: Callable[[Any], None]
    share: int = 100
    packets: int = 1


def _codec(name: str) -> Target:
    make, check = codecs.CODECS[name]
    return Target(
        name,
        "packets",
        Octets,
        lambda seed: Octets(make(Random(f"{name} {seed}")).hex()),
        lambda case: check(bytes.fromhex(case.hex)),
        share=100 // len(codecs.CODECS),
    )


TARGETS: Final = {
    target.name: target
    for target in (
        *map(_codec, codecs.CODECS),
        Target(
            "connection",
            "connections",
            episodes.Episode,
            episodes.episode,
            episodes.play,
            share=50,
            packets=episodes.LENGTH,
        ),
        Target(
            "pair",
            "connections",
            pairs.Pair,
            pairs.pair,
            pairs.play,
            share=50,
            packets=pairs.CHANGES,
        ),
        Target("network", "networks", networks.NetworkCase, networks.network_case, networks.play),
    )
}


def failure(target: Target, case: Any) -> str | None:
    """Play a case; return what kind of thing is wrong, or ``None``."""
    try:
        target.play(case)
    except Exception as error:
        return kind(error)
    return None


def written(target: Target, case: msgspec.Struct) -> bytes:
    """Return a case as the file in which it is kept."""
    document = {"target": target.name, "case": msgspec.to_builtins(case)}
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def load(path: Path) -> tuple[Target, Any]:
    """Read the file of a case.

    :raises InputError: it is none; OSError: it cannot be read.
    """
    try:
        document = msgspec.json.decode(path.read_bytes())
        target = TARGETS[document["target"]]
        return target, msgspec.convert(document["case"], target.type)
    except (msgspec.MsgspecError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no case: {error}") from error
