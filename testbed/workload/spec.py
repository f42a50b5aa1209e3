"""The YAML specs of workloads, with sizes, rates and times in tc's grammar.

``sessions`` of a kind with two halves returns their jobs, in which sizes are in octets, rates in
bit/s and times in nanoseconds. The specs of external programs (``iperf3``, ``command``) are used
without change.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Annotated, Final, Literal

import msgspec

from testbed.hints import nearest
from testbed.metric import Metric
from testbed.units import parse_rate, parse_size, parse_time
from testbed.workload import bulk, reqres, stream
from testbed.workload.base import PairedSpec, Port, WorkloadSpec
from testbed.workload.metrics import METRICS
from testbed.workload.own import OwnMetric, check_names
from testbed.workload.session import Session
from testbed.workload.sizes import MAX_SESSIONS, Arrivals, Quantity, Sizes, parsed, positive_time

Many = Annotated[int, msgspec.Meta(ge=1, le=1000)]


class Bulk(PairedSpec, frozen=True, kw_only=True, tag="bulk"):
    """Transfers of ``size`` octets, or for ``duration``.

    ``direction`` ``forward`` sends from ``from`` to ``to``, ``reverse`` in the other direction, and
    ``both`` sends ``size`` octets in each direction at the same time.

    :param size: the size in octets, or a distribution of sizes.
    :param count: the number of concurrent connections, each with ``size`` octets.
    :param arrivals: the start times of transfers, each with its own connection, whether or not
        earlier transfers are over.
    """

    size: Quantity | Sizes | None = None
    duration: Quantity | None = None
    direction: Literal["forward", "reverse", "both"] = "forward"
    count: Many = 1
    arrivals: Arrivals | None = None

    def __post_init__(self) -> None:
        self.check_times()
        if self.size is not None and self.duration is not None:
            raise ValueError("give either `size` or `duration`, not both")
        if self.arrivals is not None:
            self._check_arrivals()
        elif self.size is self.duration is self.stop is None and not self.endless:
            raise ValueError("give either `size` or `duration`")
        self.sessions(seed=0)

    def _check_arrivals(self) -> None:
        if self.size is None:
            raise ValueError("`arrivals` need `size`, which each transfer has")
        if self.count != 1:
            raise ValueError("`arrivals` and `count` exclude each other")
        if self.stop is None and self.arrivals is not None and self.arrivals.number is None:
            raise ValueError("`arrivals` need an end: set `stop`, or `number` of `arrivals`")

    @property
    def brief(self) -> bool:
        """Whether the connections may end before they have a second subflow."""
        return self.arrivals is not None

    @property
    def endless(self) -> bool:
        """Whether the workload runs until all other flows have ended."""
        return self.background and (self.size, self.duration, self.stop) == (None, None, None)

    @property
    def longest_ns(self) -> int:
        """The earliest time, from the start of the run, at which the workload can end."""
        if self.duration is not None:
            return self.start_ns + positive_time("duration", self.duration)
        if self.size is None or self.arrivals is not None:
            return self.stop_ns or self.start_ns
        return self.start_ns

    @property
    def end_ns(self) -> int | None:
        """The end time, from the start of the run, or ``None`` if it depends on the network."""
        return self.longest_ns if self.size is None and not self.endless else None

    def sessions(self, seed: int) -> tuple[Session, ...]:
        """Return the transfers; ``seed`` chooses payloads, sizes and arrivals."""
        sizes = random.Random(f"{seed} sizes")
        return tuple(
            Session(at_ns=at_ns, job=self._job(seed, number, sizes))
            for number, at_ns in enumerate(self._starts(seed))
        )

    def _starts(self, seed: int) -> list[int]:
        if self.arrivals is None:
            return [self.start_ns] * self.count
        return self.arrivals.starts_ns(self.start_ns, self.stop_ns, seed, MAX_SESSIONS)

    def _job(self, seed: int, number: int, rng: random.Random) -> bulk.Job:
        duration_ns = _optional(parse_time, "duration", self.duration)
        if duration_ns is None and self.size is None and self.stop_ns is not None:
            duration_ns = self.stop_ns - self.start_ns
        if isinstance(self.size, Sizes):
            octets: int | None = self.size.draw(rng)
        else:
            octets = _optional(parse_size, "size", self.size)
        return bulk.Job(
            octets=octets,
            duration_ns=duration_ns,
            forward=self.direction != "reverse",
            reverse=self.direction != "forward",
            timed=self.arrivals is not None,
            seed=seed,
            session=number,
        )


class ReqRes(PairedSpec, frozen=True, kw_only=True, tag="reqres"):
    """``count`` transactions in turn, each of ``request`` octets out and ``response`` back.

    :param interval: the time from the start of one transaction to the start of the next. A
        transaction that takes longer delays the next.
    :param reconnect: whether every transaction opens a new connection, whose handshake counts.
    :param service_time: how long the server works on a request before it answers.
    :param clients: the number of concurrent connections.
    """

    request: Quantity = 64
    response: Quantity = "16KB"
    count: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 100
    interval: Quantity = 0
    reconnect: bool = False
    service_time: Quantity = 0
    clients: Many = 1

    def __post_init__(self) -> None:
        self.check_times()
        for name, given in (("clients", self.clients > 1), ("stop", self.stop is not None)):
            if given and self.reconnect:
                raise ValueError(f"`{name}` and `reconnect` exclude each other")
        self.sessions(seed=0)

    def sessions(self, seed: int) -> tuple[Session, ...]:
        """Return the session of each client; ``seed`` chooses the payload."""
        return tuple(
            Session(at_ns=self.start_ns, job=self._job(seed, number))
            for number in range(self.clients)
        )

    def _job(self, seed: int, number: int) -> reqres.Job:
        return reqres.Job(
            request=parsed(parse_size, "request", self.request),
            response=parsed(parse_size, "response", self.response),
            count=self.count,
            interval_ns=parsed(parse_time, "interval", self.interval, zero=True),
            until_ns=None if self.stop_ns is None else self.stop_ns - self.start_ns,
            reconnect=self.reconnect,
            service_ns=parsed(parse_time, "service_time", self.service_time, zero=True),
            seed=seed,
            session=number,
        )


class Stream(PairedSpec, frozen=True, kw_only=True, tag="stream"):
    """Blocks of ``block`` octets, due at ``rate``, for ``duration`` or ``count`` blocks.

    ``direction`` ``forward`` sends from ``from`` to ``to``.

    :param clients: the number of concurrent connections.
    """

    block: Quantity = "4KB"
    rate: Quantity = "1mbit"
    duration: Quantity | None = None
    count: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    direction: Literal["forward", "reverse"] = "forward"
    clients: Many = 1

    def __post_init__(self) -> None:
        self.check_times()
        if self.stop is None:
            _exactly_one("duration", self.duration, "count", self.count)
        elif self.duration is not None or self.count is not None:
            raise ValueError("`stop` sets the end: remove `duration` and `count`")
        self.sessions(seed=0)

    @property
    def duration_ns(self) -> int | None:
        """The duration, or ``None`` if the number of blocks is given."""
        if self.stop_ns is not None:
            return self.stop_ns - self.start_ns
        return _optional(parse_time, "duration", self.duration)

    @property
    def longest_ns(self) -> int:
        """The earliest time, from the start of the run, at which the workload can end."""
        return self.start_ns + (self.duration_ns or 0)

    @property
    def end_ns(self) -> int | None:
        """The end time, from the start of the run, or ``None`` if it depends on the network."""
        return None if self.duration_ns is None else self.longest_ns

    def sessions(self, seed: int) -> tuple[Session, ...]:
        """Return the session of each client; ``seed`` chooses the payload."""
        return tuple(
            Session(at_ns=self.start_ns, job=self._job(seed, number))
            for number in range(self.clients)
        )

    def _job(self, seed: int, number: int) -> stream.Job:
        block = parsed(parse_size, "block", self.block)
        rate = parsed(parse_rate, "rate", self.rate)
        interval_ns = max(1, block * 8 * 1_000_000_000 // rate)
        count = self.count
        if count is None:
            count = max(1, (self.duration_ns or 0) // interval_ns)
            if count > 1_000_000:
                raise ValueError(
                    f"`duration` and `rate` give {count} blocks; the maximum is 1000000"
                )
        return stream.Job(
            block=block,
            interval_ns=interval_ns,
            count=count,
            forward=self.direction == "forward",
            seed=seed,
            session=number,
        )


_NOT_TCP: Final = frozenset(("-u", "--udp", "--sctp"))
_FLAGS: Final = frozenset("46NRZJVd1")  # flags of iperf3 that may precede another in one word


def _measures_tcp(option: str) -> bool:
    """Return whether iperf3 tests TCP with an option; ``-4u`` and ``-ub1M`` include ``-u``."""
    if option in _NOT_TCP:
        return False
    letters = option[1:] if option[:1] == "-" and option[:2] != "--" else ""
    return letters.lstrip("".join(_FLAGS))[:1] != "u"


class Iperf3(WorkloadSpec, frozen=True, kw_only=True, tag="iperf3"):
    """iperf3(1): a TCP test of ``duration``, or of ``size`` octets.

    :param parallel: the number of connections (``-P``).
    :param options: further options for the client, passed without change.
    """

    size: Quantity | None = None
    duration: Quantity | None = None
    direction: Literal["forward", "reverse", "both"] = "forward"
    parallel: Annotated[int, msgspec.Meta(ge=1, le=128)] = 1
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.check_times()
        _exactly_one("size", self.size, "duration", self.duration)
        if self.stop is not None:
            raise ValueError("`stop` is not for programs: they end by themselves")
        if self.octets is None and (self.duration_ns or 0) % 1_000_000_000:
            raise ValueError("`duration` must be whole seconds for iperf3")
        for option in self.options:
            if not _measures_tcp(option):
                raise ValueError(f"`options`: with {option}, iperf3 does not test TCP or MPTCP")

    @property
    def usual_port(self) -> int:
        """The default port, used if no other flow has it."""
        return 5201

    @property
    def octets(self) -> int | None:
        """``size`` in octets."""
        return _optional(parse_size, "size", self.size)

    @property
    def duration_ns(self) -> int | None:
        """``duration`` in nanoseconds."""
        return _optional(parse_time, "duration", self.duration)

    @property
    def longest_ns(self) -> int:
        """The earliest time, from the start of the run, at which the workload can end."""
        return self.start_ns + (self.duration_ns or 0)


PLACEHOLDERS: Final = ("address", "port", "seed")
_WORD: Final = re.compile(r"\{(\w+)\}")


class Program(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A program of a ``command`` workload.

    In arguments, ``{address}``, ``{port}`` and ``{seed}`` are replaced by the target's address, the
    workload's port and the run's seed.

    :param ready: the condition for the start of the next program: a TCP port on which a program of
        its node listens, or a regular expression that matches its standard output.
    :param ends: whether the run ends when this program ends. The other programs are then
        terminated. Without such a program the run ends when all have ended.
    :param metrics: the metrics in its standard output, by name.
    """

    node: str
    argv: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    ready: Port | str | None = None
    ends: bool = False
    metrics: dict[str, OwnMetric] = {}

    def __post_init__(self) -> None:
        check_names(self.metrics)
        if isinstance(self.ready, str):
            try:
                re.compile(self.ready)
            except re.error as error:
                raise ValueError(f"`ready` is not a regular expression: {error}") from error
        for word in _WORD.findall(" ".join(self.argv)):
            meant = nearest(word, PLACEHOLDERS)
            if word not in PLACEHOLDERS and meant.startswith("did"):
                raise ValueError(f"`{{{word}}}` is not a placeholder; {meant}")


class Command(WorkloadSpec, frozen=True, kw_only=True, tag="command"):
    """Any programs on any nodes, started in order, all on the stack under test.

    The traffic is expected between the nodes ``from`` and ``to``.
    """

    programs: Annotated[tuple[Program, ...], msgspec.Meta(min_length=1)]

    @property
    def own(self) -> dict[str, Metric]:
        """The metrics that the programs print."""
        return {
            name: where.metric(name)
            for program in self.programs
            for name, where in program.metrics.items()
        }

    def __post_init__(self) -> None:
        self.check_times()
        names = [name for program in self.programs for name in program.metrics]
        for name in names:
            if name in METRICS or names.count(name) > 1:
                raise ValueError(f"the metric {name!r} already exists")
        if self.stop is not None:
            raise ValueError("`stop` is not for programs: they end by themselves")


def _exactly_one(name: str, value: object, other: str, value_of_other: object) -> None:
    if (value is None) == (value_of_other is None):
        raise ValueError(f"give either `{name}` or `{other}`")


def _optional(parse: Callable[[str], int], name: str, quantity: Quantity | None) -> int | None:
    return None if quantity is None else parsed(parse, name, quantity)
