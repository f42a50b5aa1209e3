"""Workloads as they stand in an experiment's YAML: sizes, rates and times in tc's grammar.

``resolve`` turns each of the built-in kinds into the job its two halves are given, in which every
size is in octets, every rate in bit/s and every time in nanoseconds.  The specs of programs we do
not write ourselves (``iperf3``, ``command``) are used as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Final, Literal

import msgspec

from testbed.errors import InputError
from testbed.topology.model import Family
from testbed.units import parse_rate, parse_size, parse_time
from testbed.workload import bulk, reqres, stream

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Quantity = str | int  # "20MB", "5s", "10mbit", or a bare number where tc allows one


class _Base(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    rename={"source": "from", "target": "to"},
):
    """Who talks to whom.  ``source`` connects, ``target`` listens.

    :param via: the link whose address of the target is dialled; by default the first.
    """

    source: str
    target: str
    family: Family = Family.IPV4
    via: str | None = None
    port: Port = 5001


class Bulk(_Base, frozen=True, kw_only=True, tag="bulk"):
    """One connection that carries ``size`` octets, or as many as it can for ``duration``.

    ``direction`` ``forward`` is from ``from`` to ``to``, ``reverse`` the other way, and ``both``
    carries ``size`` octets each way at the same time.
    """

    size: Quantity | None = None
    duration: Quantity | None = None
    direction: Literal["forward", "reverse", "both"] = "forward"

    def __post_init__(self) -> None:
        _exactly_one("size", self.size, "duration", self.duration)
        self.resolve(seed=0)

    def resolve(self, seed: int) -> bulk.Job:
        """Return the job; ``seed`` chooses the payload."""
        return bulk.Job(
            octets=_optional(parse_size, "size", self.size),
            duration_ns=_optional(parse_time, "duration", self.duration),
            forward=self.direction != "reverse",
            reverse=self.direction != "forward",
            seed=seed,
        )


class ReqRes(_Base, frozen=True, kw_only=True, tag="reqres"):
    """``count`` transactions, one after the other: ``request`` octets out, ``response`` back.

    :param interval: from the start of one transaction to the start of the next; a transaction
        that takes longer delays the next.
    :param reconnect: open a new connection for every transaction, and count its handshake.
    """

    request: Quantity = 64
    response: Quantity = "16KB"
    count: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 100
    interval: Quantity = 0
    reconnect: bool = False

    def __post_init__(self) -> None:
        self.resolve(seed=0)

    def resolve(self, seed: int) -> reqres.Job:
        """Return the job; ``seed`` chooses the payload."""
        return reqres.Job(
            request=_parsed(parse_size, "request", self.request),
            response=_parsed(parse_size, "response", self.response),
            count=self.count,
            interval_ns=_parsed(parse_time, "interval", self.interval, zero=True),
            reconnect=self.reconnect,
            seed=seed,
        )


class Stream(_Base, frozen=True, kw_only=True, tag="stream"):
    """Blocks of ``block`` octets that fall due at ``rate``, for ``duration`` or ``count`` blocks.

    ``direction`` ``forward`` is from ``from`` to ``to``.
    """

    block: Quantity = "4KB"
    rate: Quantity = "1mbit"
    duration: Quantity | None = None
    count: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    direction: Literal["forward", "reverse"] = "forward"

    def __post_init__(self) -> None:
        _exactly_one("duration", self.duration, "count", self.count)
        self.resolve(seed=0)

    def resolve(self, seed: int) -> stream.Job:
        """Return the job; ``seed`` chooses the payload."""
        block = _parsed(parse_size, "block", self.block)
        rate = _parsed(parse_rate, "rate", self.rate)
        interval_ns = max(1, block * 8 * 1_000_000_000 // rate)
        count = self.count
        if count is None:
            duration_ns = _parsed(parse_time, "duration", self.duration or 0)
            count = max(1, duration_ns // interval_ns)
            if count > 1_000_000:
                raise ValueError(f"`duration` and `rate` give {count} blocks; at most 1000000")
        return stream.Job(
            block=block,
            interval_ns=interval_ns,
            count=count,
            forward=self.direction == "forward",
            seed=seed,
        )


_NOT_TCP: Final = frozenset(("-u", "--udp", "--sctp"))


class Iperf3(_Base, frozen=True, kw_only=True, tag="iperf3"):
    """iperf3(1): a TCP test of ``duration``, or of ``size`` octets.

    :param parallel: number of connections (``-P``).
    :param options: further options for the client, as they are.
    """

    port: Port = 5201
    size: Quantity | None = None
    duration: Quantity | None = None
    direction: Literal["forward", "reverse", "both"] = "forward"
    parallel: Annotated[int, msgspec.Meta(ge=1, le=128)] = 1
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _exactly_one("size", self.size, "duration", self.duration)
        if self.octets is None and (self.duration_ns or 0) % 1_000_000_000:
            raise ValueError("`duration` must be whole seconds: iperf3 takes no others")
        for option in self.options:
            if option in _NOT_TCP:
                raise ValueError(f"`options`: with {option} iperf3 does not measure TCP, nor MPTCP")

    @property
    def octets(self) -> int | None:
        """``size`` in octets."""
        return _optional(parse_size, "size", self.size)

    @property
    def duration_ns(self) -> int | None:
        """``duration`` in nanoseconds."""
        return _optional(parse_time, "duration", self.duration)


class Program(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One program of a ``command`` workload.

    ``{address}``, ``{port}`` and ``{seed}`` in an argument stand for the target's address, the
    workload's port and the run's seed.

    :param ready: what must be seen before the next program is started: a TCP port somebody
        listens on in the program's node, or a regular expression found in its standard output.
    :param ends: the run ends when this program does; the others are then terminated.  Without
        any such program the run ends when all have ended.
    """

    node: str
    argv: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    ready: Port | str | None = None
    ends: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.ready, str):
            try:
                re.compile(self.ready)
            except re.error as error:
                raise ValueError(f"`ready` is not a regular expression: {error}") from error


class Command(_Base, frozen=True, kw_only=True, tag="command"):
    """Any programs on any nodes, started in this order, all on the stack under test.

    ``from`` and ``to`` say between which nodes the traffic is expected.
    """

    programs: Annotated[tuple[Program, ...], msgspec.Meta(min_length=1)]


Workload = Bulk | ReqRes | Stream | Iperf3 | Command


def _exactly_one(name: str, value: object, other: str, value_of_other: object) -> None:
    if (value is None) == (value_of_other is None):
        raise ValueError(f"give either `{name}` or `{other}`")


def _parsed(
    parse: Callable[[str], int], name: str, quantity: Quantity, *, zero: bool = False
) -> int:
    try:
        value = parse(str(quantity))
    except InputError as error:
        raise ValueError(f"`{name}`: {error}") from error
    if value < 0 or (value == 0 and not zero):
        raise ValueError(f"`{name}` must be more than 0")
    return value


def _optional(parse: Callable[[str], int], name: str, quantity: Quantity | None) -> int | None:
    return None if quantity is None else _parsed(parse, name, quantity)
